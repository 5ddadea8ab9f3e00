use netstat_user::source::stream::listing::{Listing, Want};
use std::time::Instant;
fn cpu() -> f64 {
    let mut t: libc::timespec = unsafe { std::mem::zeroed() };
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut t) };
    t.tv_sec as f64 * 1e3 + t.tv_nsec as f64 / 1e6
}
fn main() {
    let t = (Instant::now(), cpu());
    let mut l =
        Listing::load(Want { holders: true, inodes: std::env::args().len() > 1, walk: true }).unwrap();
    println!("load cpu {:.2} wall {:?}", cpu() - t.1, t.0.elapsed());
    let t = cpu();
    let (mut n, mut p) = (0u64, 0u64);
    l.holders(&mut |told| match told {
        netstat_user::source::stream::listing::holders::Told::Socket { .. } => n += 1,
        _ => p += 1,
    })
    .unwrap();
    println!("holders cpu {:.2}: {n} sockets {p} processes", cpu() - t);
    let mut w = l.into_walk().unwrap();
    for i in 0..3 {
        let t = cpu();
        let mut n = 0u64;
        let mut states = std::collections::BTreeMap::new();
        w.rows(0, None, &mut |row, _| {
            n += 1;
            *states.entry(format!("{:?}", row.state)).or_insert(0u64) += 1;
            if n < 3 && i == 0 {
                println!("{:?}", row)
            }
        })
        .unwrap();
        println!("walk cpu {:.2}: {n} rows {states:?}", cpu() - t);
    }
    println!("cpu total {:.2}", cpu());
}
