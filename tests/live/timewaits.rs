//! TIME_WAIT lasts as long as the kernel's timers let it: a minute, and up to two seconds more.

use crate::{ensure_healthy, of};
use anyhow::{Context, Result, ensure};
use netstat_common::TcpState::{Close, TimeWait};
use netstat_tests::need::{self, Need, need, skip};
use netstat_tests::sys::monotonic;
use netstat_tests::{NetNs, Trace, listing, scale, traffic};
use std::collections::HashMap;
use std::io::Write;
use std::time::{Duration, Instant};

/// What is told lies at most this far from what a look from outside finds; where the kernel has to be asked, as far as it is
/// asked (nanoseconds).
const SLACK: u64 = 20_000_000;
const ASKED: u64 = 1_000_000_000;
/// A minute, the timer wheel's slack, and the time it takes to make them.
const LONGEST: Duration = Duration::from_secs(150);

/// Moments of CLOCK_MONOTONIC: before and after it began, when it was last seen, and when it was gone.
#[derive(Clone, Copy, Default)]
struct Life {
    begun: (u64, u64),
    seen: u64,
    gone: u64,
}

/// A thousand of them, not all in one slot of the timer wheel, are watched from outside by listings one after the other.
#[test]
fn a_thousand_time_waits_end_when_the_kernel_ends_them() -> Result<()> {
    if std::env::var_os("ENETSTAT_TEST_LONG").is_none() {
        skip("takes more than a minute; set ENETSTAT_TEST_LONG=1");
        return Ok(());
    }
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    let slack = if need::minis(&tier)?.is_some() { SLACK } else { ASKED };
    let connections = scale("ENETSTAT_TEST_CONNECTIONS", 1_000)?.min(1_000);
    let _namespace = NetNs::enter()?;
    let trace = Trace::start(&tier, &[])?;
    let listener = traffic::listener(false)?;
    let mut lives: HashMap<u64, Life> = HashMap::new();
    for _ in 0..connections {
        let pair = traffic::pair_through(&listener)?;
        let (cookie, _) = pair.cookies()?;
        let before = monotonic();
        pair.close_client_first()?;
        lives.insert(cookie, Life { begun: (before, monotonic()), ..Life::default() });
        std::thread::sleep(Duration::from_millis(3));
    }
    let until = Instant::now() + LONGEST;
    while lives.values().any(|life| life.gone == 0) {
        ensure!(Instant::now() < until, "TIME_WAIT does not end");
        std::thread::sleep(Duration::from_millis(2));
        let asked = monotonic();
        let rows = listing::tcp()?;
        let answered = monotonic();
        for row in rows.iter().filter(|row| row.state == TimeWait) {
            if let Some(life) = lives.get_mut(&row.cookie) {
                // A listing may leave one out whose neighbour goes; it is there again in the next.
                *life = Life { seen: asked, gone: 0, ..*life };
            }
        }
        for life in lives.values_mut().filter(|life| life.gone == 0 && life.seen != asked) {
            life.gone = answered;
        }
    }
    std::thread::sleep(Duration::from_secs(if slack == SLACK { 1 } else { 5 }));
    let output = trace.stop()?;
    let lines = output.lines()?;
    let (mut farthest, mut close, mut shortest, mut longest) = (0, 0, u64::MAX, 0);
    for (cookie, life) in &lives {
        ensure!(life.seen > 0, "{cookie} was never seen in TIME_WAIT");
        let end = of(&lines, *cookie).find(|line| line.step() == Some((TimeWait, Close)));
        let spent = end.and_then(|line| line.spent_ns).with_context(|| format!("no end of {cookie}"))?;
        let (least, most) = (life.seen - life.begun.1, life.gone - life.begun.0);
        farthest = farthest.max(least.saturating_sub(spent)).max(spent.saturating_sub(most));
        close += u64::from(most - least <= SLACK);
        (shortest, longest) = (shortest.min(spent), longest.max(spent));
    }
    let time = Duration::from_nanos;
    let found = format!(
        "{} TIME_WAITs of {:?} to {:?}; the farthest is {:?} from what was seen; {close} were seen to end to 20 ms",
        lives.len(),
        time(shortest),
        time(longest),
        time(farthest),
    );
    writeln!(std::io::stderr(), "{found}").context("stderr")?;
    ensure!(farthest <= slack, "{found}");
    ensure_healthy(&output)
}
