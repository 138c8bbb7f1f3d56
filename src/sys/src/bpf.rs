//! bpf(2): device filters of cgroup v2 (`BPF_PROG_TYPE_CGROUP_DEVICE`, Linux 4.15).

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::{Errno, Result, check};

const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_DETACH: libc::c_int = 9;
const PROG_GET_FD_BY_ID: libc::c_int = 13;
const PROG_QUERY: libc::c_int = 16;

const CGROUP_DEVICE_PROGRAM: u32 = 15;
const CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 1 << 1;
const REPLACE: u32 = 1 << 2;

/// One instruction, `struct bpf_insn`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u8,
    /// Destination register in the low half, source register in the high half (little-endian machines).
    pub registers: u8,
    /// Distance of a jump, counted from the next instruction, or of a load.
    pub offset: i16,
    /// Constant.
    pub value: i32,
}

#[repr(C)]
#[derive(Default)]
struct Load {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

#[repr(C)]
#[derive(Default)]
struct Attach {
    target: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
    replaced: u32,
}

#[repr(C)]
#[derive(Default)]
struct Query {
    target: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    programs: u64,
    count: u32,
    padding: u32,
}

#[repr(C)]
#[derive(Default)]
struct ById {
    id: u32,
    next: u32,
    flags: u32,
}

/// bpf(2) with one of the parts of `union bpf_attr`.
fn bpf<T>(command: libc::c_int, attributes: &mut T) -> Result<libc::c_long> {
    // SAFETY: `attributes` is a live C struct of exactly the size told; addresses in it point to data that the callers
    // keep alive and of the lengths told beside them.
    check(unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attributes),
            size_of::<T>(),
        )
    })
}

fn descriptor(number: libc::c_long) -> Result<OwnedFd> {
    let number = RawFd::try_from(number).map_err(|_| Errno::BADF)?;
    // SAFETY: the kernel has just made this descriptor (close-on-exec) and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

fn number(file: BorrowedFd<'_>) -> u32 {
    file.as_raw_fd().unsigned_abs()
}

/// Has the kernel verify and compile a device filter. `name` (at most 15 letters, digits, `_`, `.`) is what
/// `bpftool` shows. Before Linux 5.11 programs count as locked memory: the limit is raised and the load tried again.
pub fn load_device_filter(program: &[Instruction], name: &str) -> Result<OwnedFd> {
    let mut shown = [0; 16];
    let length = name.len().min(15);
    shown[..length].copy_from_slice(&name.as_bytes()[..length]);
    let attempt = || {
        let mut load = Load {
            program_type: CGROUP_DEVICE_PROGRAM,
            instruction_count: u32::try_from(program.len()).map_err(|_| Errno::TOOBIG)?,
            instructions: program.as_ptr() as u64,
            // GPL helpers are not used, but the verifier wants a text.
            license: c"Apache-2.0".as_ptr() as u64,
            name: shown,
            ..Load::default()
        };
        descriptor(bpf(PROG_LOAD, &mut load)?)
    };
    match attempt() {
        Err(Errno::PERM) => {
            let free = Rlimit {
                current: None,
                maximum: None,
            };
            setrlimit(Resource::Memlock, free).and_then(|()| attempt())
        }
        other => other,
    }
}

/// The device filters attached to `cgroup` itself; ancestors' filters apply as well and are not listed.
pub fn device_filters(cgroup: BorrowedFd<'_>) -> Result<Vec<OwnedFd>> {
    let mut ids = [0_u32; 64];
    let mut query = Query {
        target: number(cgroup),
        attach_type: CGROUP_DEVICE,
        programs: ids.as_mut_ptr() as u64,
        count: 64,
        ..Query::default()
    };
    bpf(PROG_QUERY, &mut query)?;
    let count = (query.count as usize).min(ids.len());
    let open = |id: &u32| {
        let mut by_id = ById {
            id: *id,
            ..ById::default()
        };
        descriptor(bpf(PROG_GET_FD_BY_ID, &mut by_id)?)
    };
    ids[..count].iter().map(open).collect()
}

/// Puts `filter` into force on `cgroup`; with `replaced`, in its place in one step (`BPF_F_REPLACE`, Linux 5.6).
pub fn attach_device_filter(
    cgroup: BorrowedFd<'_>,
    filter: BorrowedFd<'_>,
    replaced: Option<BorrowedFd<'_>>,
) -> Result<()> {
    let mut attach = Attach {
        target: number(cgroup),
        program: number(filter),
        attach_type: CGROUP_DEVICE,
        flags: ALLOW_MULTI | if replaced.is_some() { REPLACE } else { 0 },
        replaced: replaced.map(number).unwrap_or_default(),
    };
    bpf(PROG_ATTACH, &mut attach).map(drop)
}

/// Takes `filter` off `cgroup`.
pub fn detach_device_filter(cgroup: BorrowedFd<'_>, filter: BorrowedFd<'_>) -> Result<()> {
    let mut attach = Attach {
        target: number(cgroup),
        program: number(filter),
        attach_type: CGROUP_DEVICE,
        ..Attach::default()
    };
    bpf(PROG_DETACH, &mut attach).map(drop)
}
