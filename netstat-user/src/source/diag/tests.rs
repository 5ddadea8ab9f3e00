use super::*;
use crate::model::{Endpoint, Tuple};
use crate::source::procfs::Procfs;
use rustix::net::sockopt::socket_cookie;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::num::NonZeroU64;

fn open() -> Diag {
    Diag::open(&Netns::current().unwrap()).unwrap()
}

fn request(protocol: Protocol, family: Family) -> Request {
    Request { protocol, family, states: States::ALL, totals: false }
}

fn listed(diag: &mut Diag, request: &Request) -> Vec<SockRow> {
    let mut rows = Vec::new();
    let pass = diag.list(request, &mut |row| rows.push(*row)).unwrap();
    assert_eq!(pass.rows, rows.len() as u64);
    rows
}

fn endpoint(addr: SocketAddr) -> Endpoint {
    Endpoint { addr: addr.ip(), port: addr.port() }
}

/// The row of procfs that the diag row should equal, with what only one of the two can tell taken over.
fn by_procfs(row: &SockRow) -> SockRow {
    let mut same = None;
    let pass = Procfs::host()
        .list(row.protocol, row.family, &mut |other| {
            if (other.local, other.foreign, other.inode) == (row.local, row.foreign, row.inode) {
                same = Some(*other);
            }
        })
        .unwrap();
    assert_eq!(pass.faulty, 0);
    SockRow {
        cookie: row.cookie,
        cgroup: row.cgroup,
        v6only: row.v6only,
        totals: row.totals,
        ..same.unwrap()
    }
}

#[test]
fn our_listeners_are_listed_as_procfs_has_them() {
    let mut diag = open();
    for (addr, family) in
        [(IpAddr::V4(Ipv4Addr::LOCALHOST), Family::V4), (Ipv6Addr::UNSPECIFIED.into(), Family::V6)]
    {
        let Ok(listener) = TcpListener::bind((addr, 0)) else { continue };
        let local = endpoint(listener.local_addr().unwrap());
        let rows = listed(&mut diag, &request(Protocol::Tcp, family));
        let row = *rows.iter().find(|row| row.local == local).unwrap();
        assert_eq!((row.state, row.netns), (TcpState::Listen, Netns::current().unwrap().inum));
        assert_eq!(row.cookie, NonZeroU64::new(socket_cookie(&listener).unwrap()));
        assert_eq!(row.v6only, (family == Family::V6).then_some(false));
        // Only sock_diag knows the limit of a listener's backlog.
        assert_ne!(row.wqueue, 0);
        assert_eq!(SockRow { wqueue: 0, ..row }, by_procfs(&row));

        let others = States(States::ALL.0 & !TcpState::Listen.bit());
        let rows = listed(&mut diag, &Request { states: others, ..request(Protocol::Tcp, family) });
        assert!(rows.iter().all(|row| row.local != local));
    }
}

#[test]
fn a_connection_has_totals_and_procfs_agrees() {
    use std::io::{Read, Write};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(b"hello").unwrap();
    server.read_exact(&mut [0; 3]).unwrap();
    // The answer also acknowledges what came, so that no timer runs.
    server.write_all(b"hi").unwrap();
    client.read_exact(&mut [0; 2]).unwrap();

    let mut diag = open();
    let request = Request { totals: true, ..request(Protocol::Tcp, Family::V4) };
    let rows = listed(&mut diag, &request);
    let local = endpoint(server.local_addr().unwrap());
    let foreign = endpoint(client.local_addr().unwrap());
    let row = *rows.iter().find(|row| (row.local, row.foreign) == (local, foreign)).unwrap();
    let totals = row.totals.unwrap();
    assert_eq!((totals.sent, totals.received, totals.retrans), (2, 5, 0));
    assert_eq!((row.rqueue, totals.rqueue), (2, 2));
    let other = by_procfs(&row);
    assert_eq!(SockRow { timer: other.timer, wqueue: other.wqueue, ..row }, other);

    client.shutdown(std::net::Shutdown::Write).unwrap();
    server.read_to_end(&mut Vec::new()).unwrap();
    let rows = listed(&mut diag, &request);
    let row = rows.iter().find(|row| (row.local, row.foreign) == (local, foreign)).unwrap();
    assert_eq!((row.state, row.totals.unwrap().received), (TcpState::CloseWait, 5));
}

#[test]
fn udp_is_listed_as_procfs_has_it() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let local = endpoint(socket.local_addr().unwrap());
    let mut diag = open();
    let mut rows = Vec::new();
    match diag.list(&request(Protocol::Udp, Family::V4), &mut |row| rows.push(*row)) {
        Err(error) if error.is_absent() => return,
        result => assert!(!result.unwrap().interrupted),
    }
    let row = *rows.iter().find(|row| row.local == local).unwrap();
    assert_eq!((row.state, row.drops), (TcpState::Close, Some(0)));
    assert_eq!(row, by_procfs(&row));
}

fn question(token: u64, tuple: Tuple, cookie: Option<NonZeroU64>) -> Question {
    Question { token, netns: 0, tuple, cookie }
}

fn answers(diag: &mut Diag, questions: &[Question]) -> Vec<Option<SockRow>> {
    let mut rows = vec![None; questions.len()];
    let mut count = vec![0; questions.len()];
    diag.ask(questions, &mut |answer| {
        rows[answer.token as usize] = answer.row;
        count[answer.token as usize] += 1;
    })
    .unwrap();
    assert!(count.iter().all(|&count| count == 1), "{count:?}");
    rows
}

#[test]
fn questions_are_answered_each_by_its_own_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let local = listener.local_addr().unwrap();
    // More than fit into one message.
    let clients: Vec<_> = (0..BATCH + 20).map(|_| TcpStream::connect(local).unwrap()).collect();
    let tuple = |one, other| Tuple::new(endpoint(one), endpoint(other), Family::V4, 0);
    let nobody = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    let mut questions = vec![question(0, tuple(local, nobody), None)];
    for client in &clients {
        let cookie = NonZeroU64::new(socket_cookie(client).unwrap());
        questions.push(question(questions.len() as u64, tuple(client.local_addr().unwrap(), local), cookie));
    }
    let mut diag = open();
    let rows = answers(&mut diag, &questions);
    assert_eq!(rows[0].unwrap().state, TcpState::Listen);
    for (row, question) in rows.iter().zip(&questions).skip(1) {
        let row = row.unwrap();
        assert_eq!((row.state, row.cookie), (TcpState::Established, question.cookie));
    }

    let port = clients[0].local_addr().unwrap();
    let made_up = [
        // The port has a listener, which is no answer.
        question(0, tuple(local, SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1)), None),
        question(1, tuple(port, local), NonZeroU64::new(u64::MAX - 1)),
        question(2, tuple(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1), nobody), None),
        question(3, tuple(local, nobody), NonZeroU64::new(u64::MAX - 1)),
    ];
    assert_eq!(answers(&mut diag, &made_up), [None; 4]);
}

#[test]
fn answers_that_did_not_fit_the_queue_are_asked_for_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let local = listener.local_addr().unwrap();
    let clients: Vec<_> = (0..BATCH).map(|_| TcpStream::connect(local).unwrap()).collect();
    let questions: Vec<_> = (0..)
        .zip(&clients)
        .map(|(token, client)| {
            let tuple = Tuple::new(endpoint(client.local_addr().unwrap()), endpoint(local), Family::V4, 0);
            question(token, tuple, None)
        })
        .collect();
    let mut diag = open();
    // The kernel raises it to its minimum, which holds one or two answers.
    sockopt::set_socket_recv_buffer_size(&diag.socket, 1).unwrap();
    let unheard = diag.ask_batch(&questions, &mut Vec::new(), &mut |_| {}).unwrap();
    assert_ne!(unheard, 0, "every answer fitted");
    assert!(answers(&mut diag, &questions).iter().all(Option::is_some));
}

#[test]
fn a_dual_stack_connection_is_found_by_either_form_of_its_addresses() {
    let Ok(listener) = TcpListener::bind("[::]:0") else { return };
    let server = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), listener.local_addr().unwrap().port());
    let client = TcpStream::connect(server).unwrap().local_addr().unwrap();
    let mapped = |addr: SocketAddr| match addr.ip() {
        IpAddr::V4(v4) => Endpoint { addr: v4.to_ipv6_mapped().into(), port: addr.port() },
        IpAddr::V6(_) => endpoint(addr),
    };
    let questions = [
        question(0, Tuple::new(endpoint(server), endpoint(client), Family::V4, 0), None),
        question(1, Tuple::new(mapped(server), mapped(client), Family::V6, 0), None),
    ];
    let rows = answers(&mut open(), &questions);
    assert_eq!(rows[0].unwrap().family, Family::V6);
    assert_eq!(rows[0].unwrap().cookie, rows[1].unwrap().cookie);
}

#[test]
fn of_listeners_that_share_a_port_each_is_found() {
    use rustix::net::{bind, listen, socket};
    let share = || {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        sockopt::set_socket_reuseport(&socket, true).unwrap();
        socket
    };
    let first = share();
    bind(&first, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let local = SocketAddr::try_from(rustix::net::getsockname(&first).unwrap()).unwrap();
    listen(&first, 1).unwrap();
    let mut all = vec![first];
    for _ in 0..5 {
        let next = share();
        bind(&next, &local).unwrap();
        listen(&next, 1).unwrap();
        all.push(next);
    }
    let nobody = Endpoint { addr: Ipv4Addr::UNSPECIFIED.into(), port: 0 };
    let tuple = Tuple::new(endpoint(local), nobody, Family::V4, 0);
    let questions: Vec<_> = (0..)
        .zip(&all)
        .map(|(token, socket)| question(token, tuple, NonZeroU64::new(socket_cookie(socket).unwrap())))
        .collect();
    for (row, question) in answers(&mut open(), &questions).iter().zip(&questions) {
        assert_eq!(row.unwrap().cookie, question.cookie);
    }
}

#[test]
fn a_question_about_another_namespace_is_refused() {
    let nobody = Endpoint { addr: Ipv4Addr::UNSPECIFIED.into(), port: 0 };
    let tuple = Tuple::new(nobody, nobody, Family::V4, 0);
    let stray = Question { netns: 1, ..question(0, tuple, None) };
    let error = open().ask(&[stray], &mut |_| {}).unwrap_err();
    assert!(matches!(error, DiagError::Elsewhere { asked: 1, .. }));
}

#[test]
fn a_refusal_says_what_helps() {
    let missing = (-2i32).to_ne_bytes();
    let done = Message { kind: DONE, flags: 0, seq: 0, payload: &missing };
    let error = refusal(&done, Protocol::Udp, Family::V6).unwrap_err();
    assert!(error.is_absent());
    assert_eq!(
        error.to_string(),
        "the kernel refuses to list udp6 sockets by sock_diag (no udp_diag in this kernel: `modprobe udp_diag`)"
    );
}

#[test]
fn what_is_left_of_an_answer_does_not_disturb_the_next() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let local = endpoint(listener.local_addr().unwrap());
    let mut diag = open();
    // A buffer too short for anything: the answer is refused, and the next has room.
    diag.input.truncate(8);
    let tcp = request(Protocol::Tcp, Family::V4);
    assert!(matches!(diag.list(&tcp, &mut |_| {}), Err(DiagError::Truncated { room: 8, .. })));
    let rows = loop {
        let mut rows = Vec::new();
        match diag.list(&tcp, &mut |row| rows.push(*row)) {
            Err(DiagError::Truncated { .. }) => {}
            result => break result.map(|_| rows).unwrap(),
        }
    };
    assert_eq!(rows.iter().filter(|row| row.local == local).count(), 1);
}
