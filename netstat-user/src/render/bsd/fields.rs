//! The fields of JSON output that BSD's displays add to those of [`field`](crate::render::field).

use crate::render::field::{Kind, Listed, Spec, Type, fields};

const S: u32 = Kind::Socket as u32;
const IV: u32 = Kind::Interval as u32;
const NB: u32 = Kind::Neighbour as u32;
const NH: u32 = Kind::Nexthop as u32;
const SN: u32 = Kind::Softnet as u32;
const VI: u32 = Kind::MulticastInterface as u32;
const MR: u32 = Kind::MulticastRoute as u32;

/// Bits of `PDI_*`, from the lowest.
pub const PACKET_FLAGS: &[&str] = &["running", "auxdata", "origdev", "vnethdr", "loss"];

fields! {
    ListenWaiting = "enetstat.listen.waiting", Type::Integer, S, always 0,
        "Connections that wait for accept (--listen-queues).";
    ListenIncomplete = "enetstat.listen.incomplete", Type::Integer, S, always 0,
        "Half-open connections of the listener. Left out when they may be another listener's with the same address.";
    ListenLimit = "enetstat.listen.limit", Type::Integer, S, always 0,
        "Connections that may wait for accept.";
    BoundOnly = "enetstat.bound_only", Type::True, S, always 0,
        "The socket is bound, and neither listens nor connects.";
    OwnerUnknown = "enetstat.owner.unknown",
        Type::OneOf(&["kernel", "orphan", "time_wait", "request", "not_accepted", "not_permitted"]), S, always 0,
        "Why no process is told: the kernel holds it, or a process out of sight; its process closed it; it only waits for \
        its end; it is half open; nobody has accepted it; others' processes may not be looked at.";
    MemoryReceived = "enetstat.memory.received", Type::Integer, S, always 0,
        "Bytes that received packets occupy.";
    MemoryReceiveLimit = "enetstat.memory.receive_limit", Type::Integer, S, always 0,
        "Bytes that they may occupy.";
    MemorySent = "enetstat.memory.sent", Type::Integer, S, always 0,
        "Bytes that packets on their way to the device occupy.";
    MemorySendLimit = "enetstat.memory.send_limit", Type::Integer, S, always 0,
        "Bytes that packets to be sent may occupy.";
    MemoryQueued = "enetstat.memory.queued", Type::Integer, S, always 0,
        "Bytes that packets to be sent occupy.";
    MemoryBacklog = "enetstat.memory.backlog", Type::Integer, S, always 0,
        "Bytes of packets that came while the socket was in use.";
    Window = "enetstat.tcp.cwnd", Type::Integer, S, always 0,
        "Congestion window in segments.";
    Threshold = "enetstat.tcp.ssthresh", Type::Integer, S, always 0,
        "Segments at which slow start ends. Left out when it never ended.";
    Mss = "enetstat.tcp.mss", Type::Integer, S, always 0,
        "Largest segment that is sent, in bytes.";
    Ecn = "enetstat.tcp.ecn", Type::Bool, S, always 0,
        "Explicit congestion notification was agreed on.";
    OutOfOrder = "enetstat.tcp.out_of_order", Type::Integer, S, always 0,
        "Segments received out of order.";
    LastReceived = "enetstat.tcp.last_received_ms", Type::Integer, S, always 0,
        "Milliseconds since data came.";
    SocketType = "enetstat.socket.type", Type::OneOf(&["stream", "dgram", "raw", "rdm", "seqpacket", "unknown"]), S,
        always 0, "Type of a packet, netlink or vsock socket.";
    PacketProtocol = "enetstat.packet.protocol", Type::Integer, S, always 0,
        "Ethernet protocol of a packet socket: 3 every one, 0 none.";
    PacketFlags = "enetstat.packet.flags", Type::Words(PACKET_FLAGS), S, always 0,
        "Flags of a packet socket.";
    PacketFanout = "enetstat.packet.fanout", Type::Integer, S, always 0,
        "Group of packet sockets that share packets.";
    PacketFilter = "enetstat.packet.filter", Type::Integer, S, always 0,
        "Instructions of its filter.";
    NetlinkProtocol = "enetstat.netlink.protocol", Type::Text, S, always 0,
        "Protocol of a netlink socket; a number when it has no name.";
    NetlinkPort = "enetstat.netlink.port", Type::Integer, S, always 0,
        "Port of a netlink socket, mostly a PID; 0: the kernel.";
    NetlinkPeer = "enetstat.netlink.peer", Type::Integer, S, always 0,
        "Port that it is connected to.";
    NetlinkGroups = "enetstat.netlink.groups", Type::Integers, S, always 0,
        "Multicast groups that it listens to.";
    LocalContext = "enetstat.vsock.local.cid", Type::Integer, S, always 0,
        "Context of a vsock socket. Left out when it is any.";
    LocalVsockPort = "enetstat.vsock.local.port", Type::Integer, S, always 0,
        "Port of a vsock socket. Left out when it is any.";
    PeerContext = "enetstat.vsock.peer.cid", Type::Integer, S, always 0,
        "Context at the other end.";
    PeerVsockPort = "enetstat.vsock.peer.port", Type::Integer, S, always 0,
        "Port at the other end.";
    VsockState = "enetstat.vsock.state", Type::Text, S, always 0,
        "State of a vsock socket, by the name that TCP has for the number.";
    UnixFile = "enetstat.unix.file.inode", Type::Integer, S, always 0,
        "Inode of the file that the socket is bound to.";
    UnixPeer = "enetstat.unix.peer.inode", Type::Integer, S, always 0,
        "Inode of the socket at the other end.";
    UnixPeerCookie = "enetstat.unix.peer.cookie", Type::Integer64, S, always 0,
        "Socket cookie of the socket at the other end.";
    UnixPeerPath = "enetstat.unix.peer.path", Type::Text, S, always 0,
        "Path of the socket at the other end, when it is UTF-8; NUL bytes are shown as @.";
    UnixPeerPathHex = "enetstat.unix.peer.path_hex", Type::Hex, S, always 0,
        "The same in hexadecimal, when it is not UTF-8.";
    UnixPeerHolders = "enetstat.unix.peer.holders", Type::Holders, S, always 0,
        "Processes that hold the socket at the other end.";
    IntervalLength = "enetstat.interval.ns", Type::Integer64, IV, always IV,
        "Nanoseconds that the interval took.";
    IntervalRxPackets = "enetstat.interval.rx.packets", Type::Integer64, IV, always IV,
        "Packets received meanwhile.";
    IntervalRxErrors = "enetstat.interval.rx.errors", Type::Integer64, IV, always IV,
        "Faulty packets received meanwhile.";
    IntervalRxDropped = "enetstat.interval.rx.dropped", Type::Integer64, IV, always IV,
        "Packets received and dropped meanwhile.";
    IntervalRxBytes = "enetstat.interval.rx.bytes", Type::Integer64, IV, always IV,
        "Bytes received meanwhile.";
    IntervalTxPackets = "enetstat.interval.tx.packets", Type::Integer64, IV, always IV,
        "Packets sent meanwhile.";
    IntervalTxErrors = "enetstat.interval.tx.errors", Type::Integer64, IV, always IV,
        "Packets that could not be sent meanwhile.";
    IntervalTxBytes = "enetstat.interval.tx.bytes", Type::Integer64, IV, always IV,
        "Bytes sent meanwhile.";
    IntervalCollisions = "enetstat.interval.tx.collisions", Type::Integer64, IV, always IV,
        "Collisions meanwhile.";
    IntervalTxDropped = "enetstat.interval.tx.dropped", Type::Integer64, IV, always IV,
        "Packets dropped on their way out meanwhile.";
    RateRxPackets = "enetstat.rate.rx.packets", Type::Integer64, IV, always IV,
        "Packets received a second, cut.";
    RateRxBytes = "enetstat.rate.rx.bytes", Type::Integer64, IV, always IV,
        "Bytes received a second, cut.";
    RateTxPackets = "enetstat.rate.tx.packets", Type::Integer64, IV, always IV,
        "Packets sent a second, cut.";
    RateTxBytes = "enetstat.rate.tx.bytes", Type::Integer64, IV, always IV,
        "Bytes sent a second, cut.";
    NeighbourAddress = "enetstat.neighbour.address", Type::Text, NB, always NB,
        "Its IP address.";
    NeighbourHardware = "enetstat.neighbour.hardware.address", Type::Hex, NB, always 0,
        "Its hardware address, once that is known.";
    NeighbourState = "enetstat.neighbour.state", Type::OneOf(&["none", "incomplete", "reachable", "stale", "delay",
        "probe", "failed", "noarp", "permanent"]), NB, always NB,
        "What is known of it.";
    NexthopId = "enetstat.nexthop.id", Type::Integer, NH, always NH,
        "Number of the next hop or group.";
    NexthopGateway = "enetstat.nexthop.gateway", Type::Text, NH, always 0,
        "Router that it leads to.";
    NexthopProtocol = "enetstat.nexthop.protocol", Type::Text, NH, always NH,
        "Who made it; a number when it has no name.";
    NexthopBlackhole = "enetstat.nexthop.blackhole", Type::True, NH, always 0,
        "It leads nowhere.";
    NexthopGroup = "enetstat.nexthop.group", Type::Pairs, NH, always 0,
        "Members of the group, each with its weight.";
    Cpu = "enetstat.softnet.cpu", Type::Integer, SN, always SN,
        "Number of the processor.";
    Processed = "enetstat.softnet.processed", Type::Integer, SN, always SN,
        "Packets processed.";
    Dropped = "enetstat.softnet.dropped", Type::Integer, SN, always SN,
        "Packets dropped because the backlog was full.";
    Squeezed = "enetstat.softnet.squeezed", Type::Integer, SN, always SN,
        "How often the time was over before the work.";
    Steered = "enetstat.softnet.steered", Type::Integer, SN, always 0,
        "How often another processor handed it packets.";
    Limited = "enetstat.softnet.limited", Type::Integer, SN, always 0,
        "Packets dropped by the limit of a flow.";
    Waiting = "enetstat.softnet.waiting", Type::Integer, SN, always 0,
        "Packets that wait now.";
    VifNumber = "enetstat.multicast.interface", Type::Integer, VI, always VI,
        "Number of the interface of multicast routing.";
    VifPacketsIn = "enetstat.multicast.packets.in", Type::Integer64, VI, always VI,
        "Packets received.";
    VifPacketsOut = "enetstat.multicast.packets.out", Type::Integer64, VI, always VI,
        "Packets sent.";
    VifBytesIn = "enetstat.multicast.bytes.in", Type::Integer64, VI, always VI,
        "Bytes received.";
    VifBytesOut = "enetstat.multicast.bytes.out", Type::Integer64, VI, always VI,
        "Bytes sent.";
    VifLocal = "enetstat.multicast.local.address", Type::Text, VI, always 0,
        "Local address.";
    VifRemote = "enetstat.multicast.remote.address", Type::Text, VI, always 0,
        "Other end of a tunnel.";
    MrOrigin = "enetstat.multicast.origin", Type::Text, MR, always MR,
        "Source of the packets.";
    MrGroup = "enetstat.multicast.group", Type::Text, MR, always MR,
        "Group that they are sent to.";
    MrInput = "enetstat.multicast.input", Type::Integer, MR, always 0,
        "Number of the interface that they come in by. Left out while that is not known.";
    MrPackets = "enetstat.multicast.packets", Type::Integer64, MR, always MR,
        "Packets forwarded.";
    MrBytes = "enetstat.multicast.bytes", Type::Integer64, MR, always MR,
        "Bytes forwarded.";
    MrWrong = "enetstat.multicast.wrong", Type::Integer64, MR, always MR,
        "Packets that came in by another interface.";
    MrOutputs = "enetstat.multicast.outputs", Type::Pairs, MR, always MR,
        "Numbers of the interfaces that they go out by, each with the least time to live.";
}
