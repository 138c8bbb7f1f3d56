//! Which numbers a system call has. On an x86_64 kernel a process can enter by three calling conventions: x86_64, x86
//! (`int 0x80` and 32-bit programs) and x32 (x86_64's entry with bit 30 set). Rules for any other architecture of a profile
//! could never be reached, because the kernel stamps each call with the convention it came by; they are read and left out.

use std::str::FromStr as _;

/// `AUDIT_ARCH_X86_64` of linux/audit.h, which x32 shares.
pub(super) const AUDIT_X86_64: u32 = 0xc000_003e;
/// `AUDIT_ARCH_I386`.
pub(super) const AUDIT_X86: u32 = 0x4000_0003;
/// `__X32_SYSCALL_BIT`.
pub(super) const X32_BIT: u32 = 0x4000_0000;

/// An architecture that a profile can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Architecture {
    X86_64,
    X86,
    X32,
    /// Known to libseccomp and never met on this kernel.
    Foreign,
}

/// libseccomp's names for what is no x86.
const FOREIGN: [&str; 22] = [
    "ARM",
    "AARCH64",
    "MIPS",
    "MIPS64",
    "MIPS64N32",
    "MIPSEL",
    "MIPSEL64",
    "MIPSEL64N32",
    "PPC",
    "PPC64",
    "PPC64LE",
    "S390",
    "S390X",
    "PARISC",
    "PARISC64",
    "RISCV64",
    "LOONGARCH64",
    "M68K",
    "SH",
    "SHEB",
    "SPARC",
    "SPARC64",
];

impl Architecture {
    pub fn named(name: &str) -> Option<Self> {
        match name.strip_prefix("SCMP_ARCH_")? {
            "NATIVE" | "X86_64" => Some(Self::X86_64),
            "X86" => Some(Self::X86),
            "X32" => Some(Self::X32),
            other => FOREIGN.contains(&other).then_some(Self::Foreign),
        }
    }

    /// Every name a profile may use, sorted.
    pub fn names() -> Vec<String> {
        let mut names: Vec<_> = FOREIGN
            .iter()
            .chain(&["X86_64", "X86", "X32"])
            .map(|name| format!("SCMP_ARCH_{name}"))
            .collect();
        names.sort();
        names
    }

    /// Whether arguments are compared in their low 32 bits only, as libseccomp does for these conventions.
    pub fn is_narrow(self) -> bool {
        self != Self::X86_64
    }
}

/// The call's number by the x86_64 convention.
fn x86_64(name: &str) -> Option<u32> {
    syscalls::x86_64::Sysno::from_str(name)
        .ok()
        .map(|sysno| sysno.id().unsigned_abs())
}

/// The call's number by the x86 convention.
fn x86(name: &str) -> Option<u32> {
    syscalls::x86::Sysno::from_str(name)
        .ok()
        .map(|sysno| sysno.id().unsigned_abs())
}

/// Calls that x32 numbers anew from 512 on, because their structures differ from x86_64's (syscall_64.tbl, "x32").
const X32_OWN: [&str; 36] = [
    "rt_sigaction",
    "rt_sigreturn",
    "ioctl",
    "readv",
    "writev",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "execve",
    "ptrace",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_sigqueueinfo",
    "sigaltstack",
    "timer_create",
    "mq_notify",
    "kexec_load",
    "waitid",
    "set_robust_list",
    "get_robust_list",
    "vmsplice",
    "move_pages",
    "preadv",
    "pwritev",
    "rt_tgsigqueueinfo",
    "recvmmsg",
    "sendmmsg",
    "process_vm_readv",
    "process_vm_writev",
    "setsockopt",
    "getsockopt",
    "io_setup",
    "io_submit",
    "execveat",
    "preadv2",
    "pwritev2",
];

/// Calls of x86_64 that x32 does not have (syscall_64.tbl, "64").
const X32_LACKS: [&str; 14] = [
    "uselib",
    "_sysctl",
    "create_module",
    "get_kernel_syms",
    "query_module",
    "nfsservctl",
    "set_thread_area",
    "epoll_ctl_old",
    "epoll_wait_old",
    "get_thread_area",
    "vserver",
    "uretprobe",
    "map_shadow_stack",
    "uprobe",
];

/// The call's number by the x32 convention, bit 30 included.
fn x32(name: &str) -> Option<u32> {
    if X32_LACKS.contains(&name) {
        return None;
    }
    let own = X32_OWN
        .iter()
        .zip(512u32..)
        .find(|(own, _)| **own == name)
        .map(|(_, number)| number);
    own.or_else(|| x86_64(name)).map(|number| number | X32_BIT)
}

/// The number libseccomp knows for a name that the tables above lack.
fn libseccomp(name: &str, architecture: libseccomp::ScmpArch) -> Option<u32> {
    let call = libseccomp::ScmpSyscall::from_name_by_arch(name, architecture).ok()?;
    u32::try_from(call.as_raw_syscall()).ok()
}

/// A call's numbers by all three conventions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Numbers {
    pub x86_64: Option<u32>,
    pub x86: Option<u32>,
    pub x32: Option<u32>,
}

impl Numbers {
    pub fn of(name: &str) -> Self {
        let numbers = Self {
            x86_64: x86_64(name),
            x86: x86(name),
            x32: x32(name),
        };
        if numbers != Self::default() {
            return numbers;
        }
        use libseccomp::ScmpArch;
        Self {
            x86_64: libseccomp(name, ScmpArch::X8664),
            x86: libseccomp(name, ScmpArch::X86),
            x32: libseccomp(name, ScmpArch::X32),
        }
    }

    pub fn on(self, architecture: Architecture) -> Option<u32> {
        match architecture {
            Architecture::X86_64 => self.x86_64,
            Architecture::X86 => self.x86,
            Architecture::X32 => self.x32,
            Architecture::Foreign => None,
        }
    }
}

/// x86's multiplexers: the number of `socketcall` or `ipc` and the first argument that selects the call of that name.
/// A rule for `socket` must hold for `socketcall(SYS_SOCKET, …)` too.
pub(super) fn multiplexed(name: &str) -> Option<(u32, u64)> {
    const SOCKETCALL: u32 = 102;
    const IPC: u32 = 117;
    let sockets = [
        "socket",
        "bind",
        "connect",
        "listen",
        "accept",
        "getsockname",
        "getpeername",
        "socketpair",
        "send",
        "recv",
        "sendto",
        "recvfrom",
        "shutdown",
        "setsockopt",
        "getsockopt",
        "sendmsg",
        "recvmsg",
        "accept4",
        "recvmmsg",
        "sendmmsg",
    ];
    if let Some((_, selector)) = sockets.iter().zip(1..).find(|(call, _)| **call == name) {
        return Some((SOCKETCALL, selector));
    }
    let selector = match name {
        "semop" => 1,
        "semget" => 2,
        "semctl" => 3,
        "semtimedop" => 4,
        "msgsnd" => 11,
        "msgrcv" => 12,
        "msgget" => 13,
        "msgctl" => 14,
        "shmat" => 21,
        "shmdt" => 22,
        "shmget" => 23,
        "shmctl" => 24,
        _ => return None,
    };
    Some((IPC, selector))
}
