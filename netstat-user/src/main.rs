fn main() {
    match netstat_user::args::parse(std::env::args_os()) {
        Ok(p) => println!("{p:?}"),
        Err(e) => println!("{e:?}"),
    }
}
