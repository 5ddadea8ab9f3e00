//! The system call `bpf`, for what has to be quick: the library that loads a trace's programs asks first what the kernel can
//! do, which takes longer than all that a listing needs.
//!
//! Attributes lie as in `union bpf_attr`, commands and constants are those of include/uapi/linux/bpf.h (6.12).

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

const MAP_CREATE: i32 = 0;
const MAP_UPDATE_ELEM: i32 = 2;
const PROG_LOAD: i32 = 5;
const PROG_TEST_RUN: i32 = 10;
const OBJ_GET_INFO_BY_FD: i32 = 15;
const RAW_TRACEPOINT_OPEN: i32 = 17;
const BTF_LOAD: i32 = 18;
const MAP_FREEZE: i32 = 22;
const LINK_CREATE: i32 = 28;
const ITER_CREATE: i32 = 33;

/// `BPF_MAP_TYPE_ARRAY`
const ARRAY: u32 = 2;

/// `BPF_F_SLEEPABLE`
const SLEEPABLE: u32 = 1 << 4;

/// What a name takes, with the NUL behind it (`BPF_OBJ_NAME_LEN`).
const NAME: usize = 16;

/// Bytes for what the verifier says.
const LOG: usize = 1 << 18;

/// The attributes of one call. What is not set is zero.
#[repr(C, align(8))]
struct Attributes([u8; 120]);

impl Attributes {
    fn new() -> Self {
        Self([0; 120])
    }

    fn bytes(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..][..bytes.len()].copy_from_slice(bytes);
        self
    }

    fn word(self, at: usize, word: u32) -> Self {
        self.bytes(at, &word.to_ne_bytes())
    }

    fn fd(self, at: usize, fd: BorrowedFd<'_>) -> Self {
        self.word(at, fd.as_raw_fd().cast_unsigned())
    }

    fn pointer<T>(self, at: usize, to: *const T) -> Self {
        self.bytes(at, &(to as u64).to_ne_bytes())
    }

    /// As much of a name as there is room for.
    fn name(self, at: usize, name: &str) -> Self {
        let fits = name.len().min(NAME - 1);
        self.bytes(at, &name.as_bytes()[..fits])
    }

    /// # Safety
    /// What the attributes of this command point to is as large as they say, and writable where the kernel writes.
    unsafe fn call(&self, command: i32) -> io::Result<i32> {
        // SAFETY: the attributes are as long as is said, and the kernel only reads what it does not know as zero; what they
        // point to is the caller's to promise.
        let result = unsafe { libc::syscall(libc::SYS_bpf, command, self.0.as_ptr(), self.0.len()) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        i32::try_from(result).map_err(io::Error::other)
    }

    /// As [`call`](Self::call), of a command that makes a descriptor.
    ///
    /// # Safety
    /// As there.
    unsafe fn make(&self, command: i32) -> io::Result<OwnedFd> {
        // SAFETY: the caller promises it.
        let fd = unsafe { self.call(command) }?;
        // SAFETY: a descriptor that was just made and belongs to nobody else.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// An array of one value.
pub struct Value {
    map: OwnedFd,
    len: usize,
}

impl Value {
    /// `len` bytes of zero; `flags` are `BPF_F_*` of maps.
    ///
    /// # Errors
    /// The kernel makes no such map.
    pub fn new(name: &str, len: u32, flags: u32) -> io::Result<Self> {
        let key = size_of::<u32>() as u32;
        let attributes =
            Attributes::new().word(0, ARRAY).word(4, key).word(8, len).word(12, 1).word(16, flags);
        // SAFETY: nothing is pointed to.
        let map = unsafe { attributes.name(28, name).make(MAP_CREATE) }?;
        Ok(Self { map, len: len as usize })
    }

    /// Writes the value.
    ///
    /// # Errors
    /// It has another length, or the kernel refuses.
    pub fn write(&self, value: &[u8]) -> io::Result<()> {
        if value.len() != self.len {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let first = 0u32;
        let attributes = Attributes::new().fd(0, self.map.as_fd()).pointer(8, &raw const first);
        // SAFETY: the kernel reads a key of four bytes and a value of `len`, which was compared.
        unsafe { attributes.pointer(16, value.as_ptr()).call(MAP_UPDATE_ELEM) }.map(drop)
    }

    /// Lets nobody write it any more: the verifier then knows what it is.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn freeze(&self) -> io::Result<()> {
        // SAFETY: nothing is pointed to.
        unsafe { Attributes::new().fd(0, self.map.as_fd()).call(MAP_FREEZE) }.map(drop)
    }
}

impl AsFd for Value {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }
}

/// Gives the kernel types of our own.
///
/// # Errors
/// The kernel does not take them.
pub fn types(btf: &[u8]) -> io::Result<OwnedFd> {
    let len = u32::try_from(btf.len()).map_err(io::Error::other)?;
    // SAFETY: the kernel reads `len` bytes.
    unsafe { Attributes::new().pointer(0, btf.as_ptr()).word(16, len).make(BTF_LOAD) }
}

/// `BPF_PROG_TYPE_*` of the programs that are loaded here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    RawTracepoint = 17,
    /// One of [`Attach`].
    Tracing = 26,
    /// It can be run, and sleep.
    Syscall = 31,
}

/// What a program is that knows the kernel's types (`BPF_TRACE_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// At a tracepoint.
    RawTp = 23,
    /// At a function's beginning.
    Fentry = 24,
    /// At its end.
    Fexit = 25,
    /// An iterator.
    Iter = 28,
}

/// A program that is to be loaded.
pub struct Program<'a> {
    pub kind: Kind,
    pub name: &'a str,
    /// Eight bytes each.
    pub instructions: &'a [u64],
    pub license: &'a CStr,
    /// What it is, and the number in the kernel's types of what it is attached to.
    pub target: Option<(Attach, u32)>,
    /// Types, and for the program and each function in it (`bpf_func_info`) the instruction that it begins with and its number
    /// in these.
    pub functions: Option<(BorrowedFd<'a>, &'a [[u32; 2]])>,
}

impl Program<'_> {
    /// Loads it.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn load(&self) -> io::Result<OwnedFd> {
        // SAFETY: the attributes say how long what they point to is.
        unsafe { self.attributes()?.make(PROG_LOAD) }
    }

    /// What the verifier says about it; empty where it says nothing.
    pub fn log(&self) -> String {
        let mut log = vec![0u8; LOG];
        if let Ok(attributes) = self.attributes() {
            let attributes = attributes.word(24, 1).word(28, LOG as u32).pointer(32, log.as_mut_ptr());
            // SAFETY: as in `load`; the kernel writes no more than `LOG` bytes to `log`.
            let _ = unsafe { attributes.make(PROG_LOAD) };
        }
        // The kernel wrote there behind the compiler's back.
        let log = std::hint::black_box(log);
        let end = log.iter().position(|&byte| byte == 0).unwrap_or(log.len());
        String::from_utf8_lossy(&log[..end]).into_owned()
    }

    fn attributes(&self) -> io::Result<Attributes> {
        let count = |len: usize| u32::try_from(len).map_err(io::Error::other);
        let mut attributes = Attributes::new()
            .word(0, self.kind as u32)
            .word(4, count(self.instructions.len())?)
            .pointer(8, self.instructions.as_ptr())
            .pointer(16, self.license.as_ptr())
            .name(48, self.name);
        if self.kind == Kind::Syscall {
            attributes = attributes.word(44, SLEEPABLE);
        }
        if let Some((attach, target)) = self.target {
            attributes = attributes.word(68, attach as u32).word(108, target);
        }
        if let Some((types, functions)) = self.functions {
            let each = size_of::<[u32; 2]>() as u32;
            attributes = attributes.fd(72, types).word(76, each).pointer(80, functions.as_ptr());
            attributes = attributes.word(88, count(functions.len())?);
        }
        Ok(attributes)
    }
}

/// Runs a program that takes no context, once.
///
/// # Errors
/// It cannot be run.
pub fn run(program: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: nothing is pointed to.
    unsafe { Attributes::new().fd(0, program).call(PROG_TEST_RUN) }.map(drop)
}

/// Runs a program once that reads and writes `context`.
///
/// # Errors
/// It cannot be run.
pub fn run_with(program: BorrowedFd<'_>, context: &mut [u64]) -> io::Result<()> {
    let len = u32::try_from(size_of_val(context)).map_err(io::Error::other)?;
    let attributes = Attributes::new().fd(0, program).word(40, len).pointer(48, context.as_mut_ptr());
    // SAFETY: the kernel reads and writes `len` bytes of the context, and any bits are valid there.
    unsafe { attributes.call(PROG_TEST_RUN) }?;
    // The kernel wrote there behind the compiler's back.
    std::hint::black_box(context);
    Ok(())
}

/// Attaches a program that knows what it is for, until what is returned is dropped.
///
/// # Errors
/// The kernel refuses.
pub fn attach(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: nothing is pointed to.
    unsafe { Attributes::new().fd(8, program).make(RAW_TRACEPOINT_OPEN) }
}

/// A new iteration of an iterator: what it tells is read from it.
///
/// # Errors
/// The kernel refuses.
pub fn iterate(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: nothing is pointed to.
    let link = unsafe { Attributes::new().fd(0, program).word(8, Attach::Iter as u32).make(LINK_CREATE) }?;
    // SAFETY: as before.
    unsafe { Attributes::new().fd(0, link.as_fd()).make(ITER_CREATE) }
}

/// Times that the kernel left a program out because it was running already, since it was loaded; 0 where the kernel does not
/// count them (before 5.12; programs of classic tracepoints before 6.3).
pub fn left_out(program: BorrowedFd<'_>) -> u64 {
    /// `bpf_prog_info.recursion_misses`, in words of eight bytes.
    const MISSES: usize = 26;
    // Longer than the kernel's: it fills in what it has, and the rest must be zero.
    let mut info = [0u64; 32];
    let len = size_of_val(&info) as u32;
    let attributes = Attributes::new().fd(0, program).word(4, len).pointer(8, info.as_mut_ptr());
    // SAFETY: the kernel writes no more than `len` bytes to `info`; all pointers in it are null and all counts zero, so it
    // writes nowhere else.
    let done = unsafe { attributes.call(OBJ_GET_INFO_BY_FD) };
    let info = std::hint::black_box(info);
    if done.is_ok() { info.get(MISSES).copied().unwrap_or(0) } else { 0 }
}
