//! Who holds a connection, as processes fork, execute programs, pass it on, and end.

use crate::{of, steps};
use anyhow::{Context, Result, ensure};
use netstat_common::TcpState::{self, Close, CloseWait, Established};
use netstat_tests::json::Line;
use netstat_tests::need::{Need, Tier, need};
use netstat_tests::witness::Witness;
use netstat_tests::{Actor, NetNs, Trace, churn, program, scale, sys};
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

/// A regular pass over all files comes every ten seconds.
const SOON: Duration = Duration::from_secs(20);

/// Two ends of a connection, the listener's process second, and the cookies.
fn pair() -> Result<((Actor, u64), (Actor, u64))> {
    let (mut client, mut server) = (Actor::start()?, Actor::start()?);
    let addr = server.listen(false)?;
    let (_, client_cookie) = client.connect(addr)?;
    let server_cookie = server.accept()?;
    Ok(((client, client_cookie), (server, server_cookie)))
}

/// The first line of a socket that reached `state`.
fn line(trace: &mut Trace, cookie: u64, state: TcpState) -> Result<Line> {
    let (lines, seen) =
        trace.wait_for(SOON, |lines| steps(lines, cookie).iter().any(|step| step.1 == state))?;
    ensure!(seen, "no {state:?} of {cookie}: {lines:#?}");
    of(&lines, cookie).find(|line| line.state == Some(state)).cloned().context("no line")
}

/// Whether processes are followed: not where there are classic tracepoints only.
fn follows(tier: &Tier) -> bool {
    let followed = !tier.args().iter().any(|word| word == "tracepoint");
    if !followed {
        // Nobody may read it.
        let _ = writeln!(std::io::stderr(), "skipped: this tier does not see processes begin and end");
    }
    followed
}

#[test]
fn a_child_holds_what_its_parent_held_and_keeps_it_alone() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    if !follows(&tier) {
        return Ok(());
    }
    let _namespace = NetNs::enter()?;
    let mut trace = Trace::start(&tier, &[])?;
    let ((mut client, cookie), (mut server, _)) = pair()?;
    let child = client.fork()?;
    server.shutdown()?;
    let line_both = line(&mut trace, cookie, CloseWait)?;
    let mut both = vec![client.pid(), child];
    both.sort_unstable();
    ensure!(line_both.holders.as_ref() == Some(&both), "{both:?}: {line_both:?}");
    ensure!(
        line_both.pid == Some(client.pid()) && line_both.how.as_deref() == Some("opened"),
        "{line_both:?}"
    );
    client.end_child()?;
    client.close()?;
    let end = line(&mut trace, cookie, TcpState::LastAck)?;
    ensure!(end.actor == Some(client.pid()) && end.pid == Some(client.pid()), "{end:?}");
    ensure!(end.holders.as_deref() == Some(&[]), "nobody holds what is closed: {end:?}");
    trace.stop()?;

    // The other way round: the parent ends, and the child has it.
    let mut trace = Trace::start(&tier, &[])?;
    let ((mut client, cookie), (mut server, _)) = pair()?;
    let opener = client.pid();
    let child = client.fork()?;
    drop(client);
    server.shutdown()?;
    let left = line(&mut trace, cookie, CloseWait)?;
    ensure!(left.pid == Some(child) && left.opener == Some(opener), "{child} has it: {left:?}");
    ensure!(left.holders.as_deref() == Some(&[child]), "{left:?}");
    sys::signal(child, libc::SIGKILL)?;
    let end = line(&mut trace, cookie, TcpState::LastAck)?;
    ensure!(end.actor == Some(child) && end.pid == Some(child), "{end:?}");
    trace.stop()?;
    Ok(())
}

#[test]
fn another_program_holds_it_after_an_exec_or_lets_it_go() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    if !follows(&tier) {
        return Ok(());
    }
    let _namespace = NetNs::enter()?;
    let directory = tempfile::tempdir()?;
    let other = directory.path().join("another-name");
    std::os::unix::fs::symlink(program::find("storm")?, &other)?;
    let other = other.to_str().context("no UTF-8")?;
    let mut trace = Trace::start(&tier, &[])?;

    let ((mut client, cookie), (mut server, _)) = pair()?;
    client.exec(other, true)?;
    server.shutdown()?;
    let kept = line(&mut trace, cookie, CloseWait)?;
    ensure!(kept.pid == Some(client.pid()) && kept.comm.as_deref() == Some("another-name"), "{kept:?}");
    ensure!(kept.opener == Some(client.pid()) && kept.opener_comm.as_deref() == Some("storm"), "{kept:?}");
    ensure!(kept.holders.as_deref() == Some(&[client.pid()]), "{kept:?}");

    // A child that becomes another program has nothing any more: descriptors normally end with that.
    let ((mut client, cookie), (mut server, _)) = pair()?;
    client.fork_and_exec(other)?;
    server.shutdown()?;
    let alone = line(&mut trace, cookie, CloseWait)?;
    ensure!(alone.holders.as_deref() == Some(&[client.pid()]), "{alone:?}");

    // What closes with an exec was closed by the one who did it.
    let ((mut client, cookie), _server) = pair()?;
    client.exec(other, false)?;
    let closed = line(&mut trace, cookie, TcpState::FinWait1)?;
    ensure!(closed.actor == Some(client.pid()) && closed.pid == Some(client.pid()), "{closed:?}");
    trace.stop()?;
    Ok(())
}

#[test]
fn what_was_passed_on_belongs_to_who_has_it() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    let _namespace = NetNs::enter()?;
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("post");
    let path = path.to_str().context("no UTF-8")?;
    let mut trace = Trace::start(&tier, &[])?;
    let ((mut client, cookie), (mut server, _)) = pair()?;
    let mut heir = Actor::start()?;
    heir.receive(path)?;
    client.pass(path)?;
    heir.take()?;
    drop(client);
    // Nothing tells of it: the next pass over all files does.
    std::thread::sleep(Duration::from_secs(12));
    server.shutdown()?;
    let passed = line(&mut trace, cookie, CloseWait)?;
    ensure!(passed.pid == Some(heir.pid()), "{} has it: {passed:?}", heir.pid());
    ensure!(passed.holders.as_deref() == Some(&[heir.pid()]), "{passed:?}");
    heir.close()?;
    let end = line(&mut trace, cookie, TcpState::LastAck)?;
    ensure!(end.actor == Some(heir.pid()) && end.pid == Some(heir.pid()), "{end:?}");
    trace.stop()?;
    Ok(())
}

#[test]
fn a_thread_has_the_name_of_its_process() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    let _namespace = NetNs::enter()?;
    let mut trace = Trace::start(&tier, &[])?;
    let (mut client, mut server) = (Actor::start()?, Actor::start()?);
    let addr = server.listen(false)?;
    client.connect(addr)?;
    let cookie = server.accept_in_thread()?;
    client.shutdown()?;
    let told = line(&mut trace, cookie, CloseWait)?;
    ensure!(told.pid == Some(server.pid()) && told.comm.as_deref() == Some("storm"), "{told:?}");
    trace.stop()?;
    Ok(())
}

/// The hook at the end of `accept` may miss a call that is under way when it is attached; then a pass tells.
#[test]
fn an_accept_that_was_under_way_is_not_missed() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    let _namespace = NetNs::enter()?;
    let (mut client, mut server) = (Actor::start()?, Actor::start()?);
    let addr = server.listen(false)?;
    server.begin_accept()?;
    // Until it waits there.
    std::thread::sleep(Duration::from_millis(300));
    let mut trace = Trace::start(&tier, &[])?;
    client.connect(addr)?;
    let cookie = server.accepted()?;
    client.shutdown()?;
    let told = line(&mut trace, cookie, CloseWait)?;
    ensure!(told.pid == Some(server.pid()) && told.how.as_deref() == Some("accepted"), "{told:?}");
    trace.stop()?;
    Ok(())
}

#[test]
fn a_process_has_its_number_inside_and_outside() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    if !follows(&tier) {
        return Ok(());
    }
    let _namespace = NetNs::enter()?;
    let mut server = Actor::start()?;
    let addr = server.listen(false)?;
    for before in [false, true] {
        let mut client = Actor::start_nested()?;
        let early = if before { Some(client.connect(addr)?) } else { None };
        let mut trace = Trace::start(&tier, &[])?;
        let (_, cookie) = early.map_or_else(|| client.connect(addr), Ok)?;
        server.accept()?;
        server.close()?;
        let told = line(&mut trace, cookie, CloseWait)?;
        // The actor forked once, and that was the first process of its namespace.
        ensure!(told.vpid == Some(1), "{told:?}");
        let parent = std::fs::read_to_string(format!("/proc/{}/stat", told.pid.context("no pid")?))?;
        let parent =
            parent.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)).context("no parent")?;
        ensure!(parent == client.pid().to_string(), "{parent}: {told:?}");
        trace.stop()?;
    }
    Ok(())
}

/// Resident memory of a process in KiB.
fn memory(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim_end_matches("kB").trim().parse()?)
}

/// Thousands of processes that end, fork and execute programs while they hold connections: no owner is wrong, and no
/// memory is left behind.
#[test]
fn processes_that_come_and_go_leave_no_wrong_owner_and_no_memory() -> Result<()> {
    let Some(tier) = need(Need::Events)? else { return Ok(()) };
    if !follows(&tier) {
        return Ok(());
    }
    let _namespace = NetNs::enter()?;
    let count = scale("ENETSTAT_TEST_PROCESSES", 10_000)?;
    // What waits for a minute is there, and takes memory, for a minute.
    std::fs::write("/proc/sys/net/ipv4/tcp_max_tw_buckets", "0").context("forbidding TIME_WAIT")?;
    let witness = Witness::start()?;
    let trace = Trace::start(&tier, &["--keep-closed", "1"])?;
    let mut said = Vec::new();
    let mut sizes = Vec::new();
    // The first round warms up.
    for round in [count / 4, count - count / 4] {
        let out = tempfile::NamedTempFile::new()?;
        let mut command = std::process::Command::new(program::find("storm")?);
        command.args(["churn", &round.to_string()]).stdin(Stdio::piped()).stdout(out.reopen()?);
        sys::die_with_parent(&mut command);
        let mut storm = command.spawn()?;
        // It waits for the end of its input when it is done.
        drop(storm.stdin.take());
        ensure!(storm.wait()?.success(), "storm failed");
        said.push(churn::read(out.reopen()?)?);
        std::thread::sleep(Duration::from_secs(3));
        sizes.push(memory(trace.pid())?);
    }
    let output = trace.stop()?;
    let lines = output.lines()?;
    let unseen = witness.map(|witness| witness.unseen(&lines)).transpose()?.unwrap_or_default();
    eprintln!("unseen by every program: {unseen:?}");
    crate::ensure_healthy_but(&output, &unseen)?;
    let mut by_cookie = std::collections::HashMap::<u64, Vec<&Line>>::new();
    for line in &lines {
        by_cookie.entry(line.cookie.unwrap_or(0)).or_default().push(line);
    }
    let mut wrong = Vec::new();
    for said in &said {
        for done in &said.done {
            let lines = by_cookie.get(&done.cookie).with_context(|| format!("nothing about {done:?}"))?;
            for line in lines {
                let right = [Some(done.opener), Some(done.last)];
                if !right.contains(&line.pid) || line.actor.is_some_and(|actor| !right.contains(&Some(actor)))
                {
                    wrong.push((*done, (*line).clone()));
                }
            }
            let fin = lines.iter().find(
                |line| matches!(line.step(), Some((Established | CloseWait, state)) if state != CloseWait),
            );
            let fin = fin.with_context(|| format!("no end of {done:?}: {lines:?}"))?;
            if fin.actor != Some(done.last) {
                wrong.push((*done, (*fin).clone()));
            }
        }
        for &cookie in &said.standing {
            let lines = by_cookie.get(&cookie).context("nothing about what stands")?;
            for line in lines.iter().filter(|line| line.pid != Some(said.pid)) {
                wrong.push((
                    churn::Done { kind: churn::Kind::Exits, cookie, opener: said.pid, last: said.pid },
                    (*line).clone(),
                ));
            }
            let end =
                lines.iter().find(|line| line.from == Some(Established) && line.state != Some(Established));
            let end = end.context("no end of what stands")?;
            ensure!(end.actor.is_none_or(|actor| actor == said.pid), "{end:?}");
            // All the children that had it, too, are gone.
            let holders = end.holders.clone().unwrap_or_default();
            ensure!(holders.iter().all(|&holder| holder == said.pid), "{end:?}");
            ensure!(
                lines.iter().any(|line| line.state == Some(Close)) || end.state != Some(Close),
                "{lines:?}"
            );
        }
    }
    ensure!(
        wrong.is_empty(),
        "{} wrong owners, of {}: {:#?}",
        wrong.len(),
        lines.len(),
        &wrong[..wrong.len().min(3)]
    );
    eprintln!("{count} processes, {} lines, memory {sizes:?} KiB", lines.len());
    ensure!(sizes[1] < sizes[0] + 4096, "memory grows: {sizes:?} KiB");
    Ok(())
}
