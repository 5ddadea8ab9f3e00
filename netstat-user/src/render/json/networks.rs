//! Sockets beside those of IP and unix in a listing: SCTP's, and those of networks that few kernels have.

use super::Json;
use super::fields::Field as More;
use super::parts::{ends, lives, netns, user};
use crate::model::{Circuit, Family, Mono, SctpRow};
use crate::render::bsd::fields::Field as Bsd;
use crate::render::field::{Field, Kind};
use crate::render::object::{Held, Object};
use crate::render::text;

impl Json {
    /// Adds to the socket that was appended last why nobody is named who holds it.
    pub fn unowned(&mut self, out: &mut Vec<u8>, why: Option<&'static str>) {
        if let Some(why) = why {
            let mut object = Object::resume(out, Kind::Socket);
            object.only(self.only.as_deref());
            object.text(Bsd::OwnerUnknown, why.as_bytes());
            object.end();
        }
    }

    /// Appends an SCTP socket of a listing made at `at` in the namespace `inum` (0: unknown).
    pub fn sctp<'h, I>(&mut self, out: &mut Vec<u8>, at: Mono, inum: u32, row: &SctpRow, holders: Option<I>)
    where
        I: Iterator<Item = Held<'h>>,
    {
        let mut object = Object::begin(out, Kind::Socket, self.stamp.at(at));
        object.only(self.only.as_deref());
        object.text(Field::Transport, b"sctp");
        let [local, foreign] = row.ends();
        let family = if local.addr.is_ipv6() { Family::V6 } else { Family::V4 };
        ends(&mut object, family, (local.addr, local.port), (foreign.addr, foreign.port));
        for (field, all) in [(More::SctpLocal, &row.local), (More::SctpPeer, &row.foreign)] {
            if all.len() > 1 {
                object.array(field, all, |out, addr| {
                    out.push(b'"');
                    text::address(out, *addr);
                    out.push(b'"');
                });
            }
        }
        if let Some(state) = row.state() {
            object.text(Field::State, state.otel().as_bytes());
        }
        user(&mut object, Some(row.uid));
        netns(&mut object, inum);
        if row.inode != 0 {
            object.integer64(Field::Inode, row.inode);
        }
        lives(&mut object, &self.lodging);
        if let Some((receive, send)) = row.queues {
            object.integer(Field::QueueReceive, receive);
            object.integer(Field::QueueSend, send);
        }
        if let Some(holders) = holders {
            object.processes(Field::Holders, holders);
        }
        object.end();
    }

    /// Appends a socket of such a network.
    pub fn circuit(
        &mut self,
        out: &mut Vec<u8>,
        at: Mono,
        inum: u32,
        network: &'static str,
        circuit: &Circuit<'_>,
    ) {
        let Circuit { user, destination, source, calls, device, state, .. } = *circuit;
        let mut object = Object::begin(out, Kind::Socket, self.stamp.at(at));
        object.text(Field::Transport, network.as_bytes());
        netns(&mut object, inum);
        if let Some(user) = user {
            object.text(More::CircuitUser, user.trim_ascii());
        }
        object.text(More::CircuitDestination, destination.trim_ascii());
        object.text(More::CircuitSource, source.trim_ascii());
        if let Some((to, from)) = calls {
            object.text(More::CircuitDestinationCall, to);
            object.text(More::CircuitSourceCall, from);
        }
        object.bytes(Field::InterfaceName, Field::InterfaceNameHex, device);
        let (_, state) = state;
        if !state.is_empty() {
            let word = state.to_ascii_lowercase().replace(' ', "_");
            object.text(More::CircuitState, word.as_bytes());
        }
        // What is below 0 no kernel writes.
        let mut number = |field: Number, value: Option<i64>| {
            if let Some(value) = value.and_then(|value| u64::try_from(value).ok()) {
                match field {
                    Number::Of(field) => object.integer(field, value),
                    Number::More(field) => object.integer(field, value),
                }
            }
        };
        number(Number::More(More::CircuitChannel), circuit.channel);
        number(Number::More(More::CircuitNeighbour), circuit.neighbour);
        number(Number::More(More::CircuitSent), circuit.sequence.map(|(send, _)| send));
        number(Number::More(More::CircuitReceived), circuit.sequence.map(|(_, receive)| receive));
        number(Number::Of(Field::QueueSend), circuit.queues.map(|(send, _)| send));
        number(Number::Of(Field::QueueReceive), circuit.queues.map(|(_, receive)| receive));
        object.end();
    }

    /// Appends a socket of which a line is all that is known.
    pub fn line(&mut self, out: &mut Vec<u8>, at: Mono, inum: u32, network: &'static str, line: &[u8]) {
        let mut object = Object::begin(out, Kind::Socket, self.stamp.at(at));
        object.text(Field::Transport, network.as_bytes());
        netns(&mut object, inum);
        object.text(More::Line, line);
        object.end();
    }
}

/// A field of one of two tables.
enum Number {
    Of(Field),
    More(More),
}
