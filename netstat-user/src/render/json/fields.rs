//! The fields of JSON output of sockets beside those of IP and unix.

use crate::render::field::{Kind, Listed, Spec, Type, fields};

const S: u32 = Kind::Socket as u32;

fields! {
    SctpLocal = "enetstat.sctp.local_addresses", Type::Texts, S, always 0,
        "Local IP addresses of an SCTP socket, when there are several; network.local.address is the first.";
    SctpPeer = "enetstat.sctp.peer_addresses", Type::Texts, S, always 0,
        "Foreign IP addresses of an SCTP association, when there are several.";
    Line = "enetstat.line", Type::Text, S, always 0,
        "The line of /proc/net about a socket of IPX, AppleTalk or Bluetooth, of which nothing more is known.";
    CircuitUser = "enetstat.circuit.user", Type::Text, S, always 0,
        "Who uses a NET/ROM socket: a call sign.";
    CircuitDestination = "enetstat.circuit.destination", Type::Text, S, always 0,
        "The other end of an AX.25, NET/ROM, ROSE or X.25 socket, as that network writes addresses; * is none.";
    CircuitSource = "enetstat.circuit.source", Type::Text, S, always 0,
        "The own end of it.";
    CircuitDestinationCall = "enetstat.circuit.destination.call", Type::Text, S, always 0,
        "Call sign of the other end (ROSE).";
    CircuitSourceCall = "enetstat.circuit.source.call", Type::Text, S, always 0,
        "Call sign of the own end (ROSE).";
    CircuitState = "enetstat.circuit.state", Type::OneOf(&["listening", "sabm_sent", "conn_sent", "disc_sent", "established",
        "recovery"]), S, always 0,
        "State of such a socket. Left out when its number is none that is known.";
    CircuitChannel = "enetstat.circuit.channel", Type::Integer, S, always 0,
        "Logical channel of an X.25 or ROSE socket; 0: none.";
    CircuitNeighbour = "enetstat.circuit.neighbour", Type::Integer, S, always 0,
        "Number of the neighbour of a ROSE socket.";
    CircuitSent = "enetstat.circuit.sequence.send", Type::Integer, S, always 0,
        "Number of the next frame to be sent.";
    CircuitReceived = "enetstat.circuit.sequence.receive", Type::Integer, S, always 0,
        "Number of the next frame to be received.";
}
