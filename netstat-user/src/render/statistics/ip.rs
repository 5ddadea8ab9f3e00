//! IP and UDP, of both families.

use super::sentence::{Sentence, always, rare, setting};

const ON: &[(i128, &str)] = &[(1, "enabled"), (2, "disabled")];

pub const IP: &[Sentence] = &[
    // RFC 4293: 1 forwards, 2 does not.
    always("Forwarding", "Forwarding is %").saying(ON).bare(),
    setting("DefaultTTL", "Default TTL is %"),
    always("InReceives", "% total packet[s] received"),
    rare("InHdrErrors", "% with invalid headers"),
    rare("InAddrErrors", "% with invalid addresses"),
    always("ForwDatagrams", "% forwarded"),
    rare("InUnknownProtos", "% with unknown protocol"),
    always("InDiscards", "% incoming packet[s] discarded"),
    always("InDelivers", "% incoming packet[s] delivered"),
    always("OutRequests", "% request[s] sent out"),
    rare("OutDiscards", "% outgoing packet[s] dropped"),
    rare("OutNoRoutes", "% dropped because of missing route"),
    rare("ReasmTimeout", "% fragment[s] dropped after timeout"),
    rare("ReasmReqds", "% reassembl[y/ies] required"),
    rare("ReasmOKs", "% packet[s] reassembled ok"),
    rare("ReasmFails", "% packet reassembl[y/ies] failed"),
    rare("FragOKs", "% outgoing packet[s] fragmented ok"),
    rare("FragFails", "% outgoing packet[s] failed fragmentation"),
    rare("FragCreates", "% fragment[s] created"),
];

pub const IP6: &[Sentence] = &[
    always("Ip6InReceives", "% total packet[s] received"),
    rare("Ip6InHdrErrors", "% with invalid headers"),
    rare("Ip6InTooBigErrors", "% with packets too big"),
    rare("Ip6InNoRoutes", "% incoming packet[s] with no route"),
    rare("Ip6InAddrErrors", "% with invalid addresses"),
    rare("Ip6InUnknownProtos", "% with unknown protocol"),
    rare("Ip6InTruncatedPkts", "% with truncated packets"),
    always("Ip6InDiscards", "% incoming packet[s] discarded"),
    always("Ip6InDelivers", "% incoming packet[s] delivered"),
    always("Ip6OutForwDatagrams", "% forwarded"),
    always("Ip6OutRequests", "% request[s] sent out"),
    rare("Ip6OutDiscards", "% outgoing packet[s] dropped"),
    rare("Ip6OutNoRoutes", "% dropped because of missing route"),
    rare("Ip6ReasmTimeout", "% fragment[s] dropped after timeout"),
    rare("Ip6ReasmReqds", "% reassembl[y/ies] required"),
    rare("Ip6ReasmOKs", "% packet[s] reassembled ok"),
    rare("Ip6ReasmFails", "% packet reassembl[y/ies] failed"),
    rare("Ip6FragOKs", "% outgoing packet[s] fragmented ok"),
    rare("Ip6FragFails", "% outgoing packet[s] failed fragmentation"),
    rare("Ip6FragCreates", "% fragment[s] created"),
    rare("Ip6InMcastPkts", "% incoming multicast packet[s]"),
    rare("Ip6OutMcastPkts", "% outgoing multicast packet[s]"),
];

pub const UDP: &[Sentence] = &[
    always("InDatagrams", "% packet[s] received"),
    always("NoPorts", "% packet[s] to unknown port received"),
    always("InErrors", "% packet receive error[s]"),
    always("OutDatagrams", "% packet[s] sent"),
    always("RcvbufErrors", "% receive buffer error[s]"),
    always("SndbufErrors", "% send buffer error[s]"),
];

pub const UDP6: &[Sentence] = &[
    always("Udp6InDatagrams", "% packet[s] received"),
    always("Udp6NoPorts", "% packet[s] to unknown port received"),
    always("Udp6InErrors", "% packet receive error[s]"),
    always("Udp6OutDatagrams", "% packet[s] sent"),
    always("Udp6RcvbufErrors", "% receive buffer error[s]").bare(),
    always("Udp6SndbufErrors", "% send buffer error[s]").bare(),
];

/// Hardly any host uses it: what is 0 is not worth a line.
pub const UDP_LITE: &[Sentence] = &[
    rare("InDatagrams", "% packet[s] received").bare(),
    rare("NoPorts", "% packet[s] to unknown port received").bare(),
    rare("InErrors", "% packet receive error[s]").bare(),
    rare("OutDatagrams", "% packet[s] sent").bare(),
    rare("RcvbufErrors", "% receive buffer error[s]").bare(),
    rare("SndbufErrors", "% send buffer error[s]").bare(),
];

pub const UDP_LITE6: &[Sentence] = &[
    rare("UdpLite6InDatagrams", "% packet[s] received").bare(),
    rare("UdpLite6NoPorts", "% packet[s] to unknown port received").bare(),
    rare("UdpLite6InErrors", "% packet receive error[s]").bare(),
    rare("UdpLite6OutDatagrams", "% packet[s] sent").bare(),
    rare("UdpLite6RcvbufErrors", "% receive buffer error[s]").bare(),
    rare("UdpLite6SndbufErrors", "% send buffer error[s]").bare(),
];
