//! What the kernel is to be asked, and when.

use super::Table;
use super::row::{Flags, Row};
use crate::model::{Mono, Question, TcpState};
use std::cmp::Reverse;
use std::num::NonZeroU64;

impl Table {
    /// At most `max` questions that are due at `now`. Each is asked once, until it is answered or [put
    /// off](Self::retry).
    pub fn questions(&mut self, now: Mono, max: usize, out: &mut Vec<Question>) {
        let enough = out.len() + max;
        while out.len() < enough {
            let Some(&Reverse((at, index, generation))) = self.due.peek() else { break };
            if at > now {
                break;
            }
            self.due.pop();
            let Some(row) = self.rows.get_mut(index, generation) else { continue };
            // What has events need not be asked about, unless some were lost.
            let told = row.mini != 0
                && row.state != TcpState::FinWait2
                && !row.flags.has(Flags::ABSENT)
                && self.blind.is_none();
            if row.state == TcpState::Close || row.flags.has(Flags::ASKED) || told {
                continue;
            }
            row.flags.set(Flags::ASKED);
            out.push(question(index, row));
        }
    }

    /// The questions without whose answers a change already known cannot be told: sockets that closed and may be in
    /// TIME_WAIT now.
    pub fn pending_questions(&mut self, out: &mut Vec<Question>) {
        for &index in self.pending.keys() {
            let Some(row) = self.rows.at_mut(index) else { continue };
            if !row.flags.has(Flags::ASKED) {
                row.flags.set(Flags::ASKED);
                out.push(question(index, row));
            }
        }
    }

    /// The questions that are due about orphans in FIN_WAIT2: not everywhere an event tells of their peers' FIN.
    pub fn orphan_questions(&mut self, now: Mono, out: &mut Vec<Question>) {
        let due = self.due.iter().filter(|Reverse((at, ..))| *at <= now);
        let due: Vec<_> = due.map(|&Reverse((_, index, generation))| (index, generation)).collect();
        for (index, generation) in due {
            if let Some(row) = self.rows.get_mut(index, generation)
                && is_orphan(row)
                && !row.flags.has(Flags::ASKED)
            {
                row.flags.set(Flags::ASKED);
                out.push(question(index, row));
            }
        }
    }

    /// Whether the question with this token is one of [those](Self::pending_questions), or of [these](Self::orphan_questions).
    pub fn is_open(&self, token: u64) -> bool {
        let (index, generation) = (token as u32, (token >> 32) as u32);
        let row = self.rows.at(index).filter(|row| row.generation == generation);
        row.is_some_and(|row| is_orphan(row) || self.pending.contains_key(&index))
    }

    /// The question could not be asked: it is due again at `at`.
    pub fn retry(&mut self, question: &Question, at: Mono) {
        let (index, generation) = (question.token as u32, (question.token >> 32) as u32);
        if let Some(row) = self.rows.get_mut(index, generation) {
            row.flags.clear(Flags::ASKED);
            self.due.push(Reverse((at, index, generation)));
        }
    }

    pub(super) fn ask_at(&mut self, index: u32, at: Mono) {
        if let Some(row) = self.rows.at(index) {
            self.due.push(Reverse((at, index, row.generation)));
        }
    }
}

/// Whether only a timewait socket is left of it that waits for the peer's FIN.
fn is_orphan(row: &Row) -> bool {
    row.state == TcpState::FinWait2 && row.flags.has(Flags::MINISOCK)
}

fn question(index: u32, row: &Row) -> Question {
    Question {
        token: u64::from(row.generation) << 32 | u64::from(index),
        netns: row.netns,
        tuple: row.tuple,
        cookie: NonZeroU64::new(row.cookie),
    }
}
