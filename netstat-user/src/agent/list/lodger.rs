//! Where listed sockets live, and which of them are wanted for that.

use super::Holders;
use crate::args::plan::ListPlan;
use crate::model::{Lodging, Pid};
use crate::source::Lodgings;
use crate::view::{Column, Inside};
use std::cell::RefCell;
use std::num::NonZeroU64;
use std::rc::Rc;

/// Answers about sockets, when something is wanted of them.
pub struct Lodger {
    /// `None`: nothing is shown or asked of where sockets live.
    lodgings: Option<RefCell<Lodgings>>,
    filter: Inside,
    unknown: Rc<Lodging>,
}

impl Lodger {
    pub fn of(plan: &ListPlan) -> Self {
        let asks = |column| matches!(column, Column::Pod | Column::Container | Column::Cgroup);
        let wanted = plan.json || plan.inside.is_wanted() || plan.named().any(asks);
        Self {
            lodgings: wanted.then(|| RefCell::new(Lodgings::of_host())),
            filter: plan.inside.filter.clone(),
            unknown: Rc::new(Lodging::UNKNOWN),
        }
    }

    /// Where a socket lives that has this inode and was made in this control group; `None`: it is not wanted.
    pub fn admit(&self, cgroup: Option<NonZeroU64>, inode: u64, holders: &Holders) -> Option<Rc<Lodging>> {
        self.admit_of(cgroup, || holders.of(inode).first().map(|holder| holder.process.pid))
    }

    /// The same by its process.
    pub fn admit_of(
        &self,
        cgroup: Option<NonZeroU64>,
        process: impl FnOnce() -> Option<Pid>,
    ) -> Option<Rc<Lodging>> {
        let Some(lodgings) = &self.lodgings else { return Some(self.unknown.clone()) };
        let lodging = lodgings.borrow_mut().of(cgroup, process());
        self.filter.wants(&lodging).then_some(lodging)
    }
}
