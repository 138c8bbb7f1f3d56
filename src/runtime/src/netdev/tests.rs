//! On the real kernel, between two network namespaces of threads of this test.

use std::os::fd::OwnedFd;

use super::*;

/// The network namespace of a thread that leaves the process's own.
fn fresh_namespace() -> sys::Result<OwnedFd> {
    namespace::leave(namespace::kind::NETWORK)?;
    file::open_read(file::here(), c"/proc/thread-self/ns/net")
}

/// One end of a cable, which every kernel with containers can make; bridges cannot be moved.
fn make_device(route: &Route, name: &str) {
    const IFLA_LINKINFO: u16 = 18;
    const INFO_KIND: u16 = 1;
    let kind = Message::nested().name(INFO_KIND, "veth");
    let message = Message::link(0, 0, 0)
        .name(wire::IFLA_IFNAME, name)
        .attribute(IFLA_LINKINFO, kind.bytes());
    route.change(wire::NEW_LINK, wire::CREATE, message).unwrap();
}

fn link(route: &Route, name: &str) -> sys::Result<Vec<u8>> {
    route.get(
        wire::GET_LINK,
        Message::link(0, 0, 0).name(wire::IFLA_IFNAME, name),
    )
}

fn moves() {
    let target = std::thread::spawn(fresh_namespace).join().unwrap().unwrap();
    drop(fresh_namespace().unwrap());
    let outside = Route::open().unwrap();
    for name in ["keela", "keelb"] {
        make_device(&outside, name);
    }
    let index = index_of(&link(&outside, "keela").unwrap()).unwrap();
    let address = [10u8, 9, 8, 7];
    let message = Message::address([2, 24, 0, 0], index)
        .attribute(2, &address)
        .attribute(1, &address);
    outside
        .change(wire::NEW_ADDRESS, wire::CREATE, message)
        .unwrap();
    let orders = plan(&[
        ("keela".to_owned(), Some("eth%d".to_owned())),
        ("keelb".to_owned(), None),
    ]);
    apply(&orders, target.as_fd()).unwrap();
    assert_eq!(link(&outside, "keela"), Err(sys::Errno::NODEV));
    let taken = Order {
        host: "lo".to_owned(),
        inside: "keelb".to_owned(),
    };
    assert!(apply(&[taken], target.as_fd()).is_err());
    let missing = apply(&plan(&[("nosuch".to_owned(), None)]), target.as_fd()).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "network device \"nosuch\": find: RTM_GETLINK: no such device"
    );
    namespace::join(target.as_fd(), namespace::kind::NETWORK).unwrap();
    let inside = Route::open().unwrap();
    let moved = link(&inside, "eth0").unwrap();
    assert_ne!(wire::word(&moved, 8).unwrap() & wire::IFF_UP, 0);
    assert_eq!(
        addresses(&inside, index_of(&moved).unwrap()).unwrap().len(),
        1
    );
    assert!(link(&inside, "keelb").is_ok());
}

#[test]
fn devices_move_with_their_addresses() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: devices_move_with_their_addresses: needs root");
        return;
    }
    // A thread of its own: it changes its network namespace.
    std::thread::spawn(moves).join().unwrap();
}
