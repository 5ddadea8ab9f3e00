//! What comes out of the ring, and what did not fit into it.

use super::Watch;
use crate::agent::reader::Batch;
use crate::model::{Fact, Mono};
use crate::source::stream;
use bytes::Bytes;

impl Watch {
    pub(super) fn learn(&mut self, batch: Batch) {
        match batch {
            Batch::Records(records) => self.learn_records(&records),
            Batch::Flushed(number) => {
                self.flushed = number;
                self.check_losses();
                if let Some((_, until)) = self.over.take_if(|(flush, _)| *flush <= number) {
                    self.table.over(until, &mut self.told);
                }
                while let Some((_, reply)) = self.replies.pop_front_if(|(flush, _)| *flush <= number) {
                    self.take(reply);
                }
            }
        }
    }

    fn learn_records(&mut self, records: &Bytes) {
        if let Some(kernel) = &self.kernel {
            kernel.reader.learnt(records);
        }
        if self.closing {
            return;
        }
        let now = Mono::now();
        for event in stream::decode(records) {
            match event {
                Ok(event) => self.table.learn(now, Fact::Event(event), &mut self.told),
                Err(error) => {
                    self.garbled += 1;
                    self.troubles.push(format!("reading the ring buffer: {error}"));
                    self.table.learn(now, Fact::Lost { count: 1, until: now }, &mut self.told);
                }
            }
        }
    }

    /// As below, of everything until now.
    pub(super) fn check_last_losses(&mut self) {
        if let Some(kernel) = &mut self.kernel {
            kernel.control.look_at_once();
        }
        self.check_losses();
    }

    pub(super) fn check_losses(&mut self) {
        let Some(kernel) = &mut self.kernel else { return };
        match kernel.control.losses() {
            Ok(losses) => {
                if losses.uncounted > self.uncounted {
                    self.uncounted = losses.uncounted;
                    self.table.learn(Mono::now(), Fact::Uncounted(Mono::now()), &mut self.told);
                }
                let total = losses.total();
                let count = total.saturating_sub(self.lost);
                if count > 0 {
                    self.lost = total;
                    if !self.table.is_blind() {
                        // Once for each time that the table becomes blind; the repair is told by the table.
                        self.troubles.push(format!("lost {count} events ({losses}), listing anew"));
                    }
                    let now = Mono::now();
                    self.table.learn(now, Fact::Lost { count, until: now }, &mut self.told);
                    self.set_whole(true);
                }
            }
            Err(error) => self.troubles.push(format!("counting lost events: {error}")),
        }
    }
}
