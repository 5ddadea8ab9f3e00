//! Sockets beside TCP, and where sockets live.

use netstat_user::model::*;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

/// A container in a pod, with everything that can be known.
pub fn lodging() -> Lodging {
    let word = |word: &str| Some(word.to_owned());
    Lodging {
        cgroup: Some(b"/kubepods/pod74c13223/4f79\xff".to_vec()),
        container: Some(Container {
            id: "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970".to_owned(),
            name: word("k8s_nginx_web-7d4_shop"),
            runtime: Some(Runtime::CriO),
        }),
        pod: Some(Pod {
            uid: "74c13223-5a00-11e9-b385-42010a80018d".to_owned(),
            name: word("web-7d4"),
            namespace: word("shop"),
            container: word("nginx"),
        }),
    }
}

fn end(text: &str) -> Endpoint {
    let socket: std::net::SocketAddr = text.parse().expect("an address");
    Endpoint { addr: socket.ip(), port: socket.port() }
}

fn socket(transport: Transport, doing: Doing, local: &str, foreign: &str) -> Beside {
    let (local, foreign) = (end(local), end(foreign));
    let family = if local.addr.is_ipv4() { Family::V4 } else { Family::V6 };
    let tuple = Tuple::new(local, foreign, family, 0);
    Beside {
        transport,
        doing,
        id: SockId { cookie: NonZeroU64::new(7), pointer: None },
        identity: Identity { tuple, netns: 4_026_531_840, uid: Some(53), cgroup: NonZeroU64::new(44) },
        name: UnixName::NONE,
        inode: 30_001,
        owner: NonZeroU32::new(4711).map(|pid| (pid, Comm::from_bytes(b"named"))),
        how: How::Held,
        queues: Some((832, 0)),
        drops: Some(3),
    }
}

/// Each kind of line once.
pub fn told() -> Vec<Told> {
    let change = |from, socket| BesideChange {
        at: Mono(61_500_000_000),
        from,
        spent: Some(Duration::from_millis(1500)),
        learnt: Learnt::Listing,
        err: 0,
        socket,
        dropped: 0,
    };
    let udp = |doing| socket(Transport::Udp, doing, "192.0.2.1:53", "0.0.0.0:0");
    let unix = Beside {
        name: UnixName::new(b"/run/\x1b[31m\xff"),
        owner: None,
        queues: None,
        drops: None,
        ..socket(Transport::Unix(UnixKind::Seqpacket), Doing::Listening, "0.0.0.0:0", "0.0.0.0:0")
    };
    let mptcp = Beside {
        how: How::Inherited,
        ..socket(Transport::Mptcp, Doing::Connected, "[2001:db8::1]:443", "[2001:db8::2]:40000")
    };
    let sctp = socket(Transport::Sctp, Doing::Gone, "192.0.2.1:36412", "198.51.100.7:36412");
    [
        BesideChange { spent: None, ..change(Doing::Gone, udp(Doing::Unconnected)) },
        BesideChange { dropped: 2, ..change(Doing::Unconnected, udp(Doing::Unconnected)) },
        change(Doing::Unconnected, udp(Doing::Gone)),
        change(Doing::Gone, socket(Transport::UdpLite, Doing::Connected, "[::1]:1", "[::1]:2")),
        BesideChange { spent: None, ..change(Doing::Gone, unix) },
        change(Doing::Listening, Beside { name: UnixName::NONE, doing: Doing::Gone, ..unix }),
        BesideChange { learnt: Learnt::Event, ..change(Doing::Listening, mptcp) },
        BesideChange { learnt: Learnt::Event, err: 104, ..change(Doing::Moving(TcpState::FinWait2), sctp) },
    ]
    .map(Told::Socket)
    .to_vec()
}
