//! The journal on a real disk: what a crash or a stranger can leave in it, and what happens when it is full.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nuage_cni::config::{NodeConfig, load_node};
use nuage_cni::host::{Files, Host, LockGuard};
use nuage_cni::journal::{Entry, Journal, Record, State};
use nuage_cni::node::host;
use nuage_cni::orchestrator::{Identity, Pod};

struct Disk {
    directory: tempfile::TempDir,
    host: Host,
    node: NodeConfig,
}

impl Disk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().display();
        let yaml = format!("statedir: {root}/state\nrundir: {root}/run\nlogdir: {root}/log\n");
        std::fs::write(directory.path().join("nuage-cni.yaml"), yaml).unwrap();
        let host = host();
        let node = load_node(&*host.files, Some(directory.path())).unwrap();
        Self { directory, host, node }
    }

    fn journal(&self) -> Journal<'_> {
        Journal::new(&self.host, &self.node)
    }

    fn file(&self, port: &str) -> PathBuf {
        self.directory.path().join("state/attachments").join(format!("{port}.json"))
    }
}

fn record(port: &str) -> Record {
    let identity = Identity {
        container_id: "c".into(),
        ifname: "eth0".into(),
        port_name: port.into(),
        entity_uuid: "c".into(),
        entity_name: "c".into(),
        pod: None,
    };
    Record::intent(&identity, "n", "boot".into(), 1)
}

#[test]
fn a_record_comes_back_as_it_was_written() {
    let disk = Disk::new();
    let mut written = record("nu1");
    written.state = State::Owed;
    written.owes_monitor = true;
    disk.journal().save(&written).unwrap();
    assert_eq!(disk.journal().load("nu1").unwrap(), Entry::Record(Box::new(written)));
    assert_eq!(disk.journal().load("nu2").unwrap(), Entry::Absent);
    disk.journal().remove("nu1").unwrap();
    assert_eq!(disk.journal().names().unwrap(), Vec::<String>::new());
}

#[test]
fn what_is_no_record_is_something_that_was_begun_and_never_a_crash() {
    let disk = Disk::new();
    disk.journal().save(&record("nu1")).unwrap();
    let text = std::fs::read_to_string(disk.file("nu1")).unwrap();
    let other_format = text.replace("\"format\": 2", "\"format\": 99");
    assert_ne!(text, other_format);
    let of_another = text.replace("nu1", "nu9");
    for broken in ["", "{", &text[..text.len() / 2], "[]", &other_format, &of_another, &"x".repeat(100_000)] {
        std::fs::write(disk.file("nu1"), broken).unwrap();
        assert_eq!(disk.journal().load("nu1").unwrap(), Entry::Unreadable);
        assert!(disk.journal().records().unwrap().is_empty());
    }
}

#[test]
fn a_record_of_the_first_format_is_still_read() {
    let disk = Disk::new();
    disk.journal().save(&record("nu1")).unwrap();
    let mut text: serde_json::Value =
        serde_json::from_slice(&std::fs::read(disk.file("nu1")).unwrap()).unwrap();
    text["format"] = 1.into();
    for new in ["written", "stranger"] {
        text.as_object_mut().unwrap().remove(new);
    }
    std::fs::write(disk.file("nu1"), text.to_string()).unwrap();
    assert_eq!(disk.journal().load("nu1").unwrap(), Entry::Record(Box::new(record("nu1"))));
}

#[test]
fn a_tombstone_stands_until_the_port_is_attached_again() {
    let disk = Disk::new();
    let journal = disk.journal();
    assert!(!journal.is_buried("nu1"));
    journal.bury("nu1").unwrap();
    journal.bury("nu1").unwrap();
    journal.bury("nu2").unwrap();
    assert!(journal.is_buried("nu1"));
    journal.exhume("nu1").unwrap();
    assert!(!journal.is_buried("nu1"));
    assert!(journal.is_buried("nu2"));
}

#[test]
fn tombstones_are_bounded_and_the_oldest_goes_first() {
    let disk = Disk::new();
    let (journal, gone) = (disk.journal(), disk.directory.path().join("run/gone"));
    std::fs::create_dir_all(&gone).unwrap();
    let now = disk.host.clock.now().as_millis();
    for age in 0..1024 {
        std::fs::write(gone.join(format!("nu{age}.{}", now - age)), "").unwrap();
    }
    std::fs::write(gone.join("of another kind"), "").unwrap();
    journal.bury("nu-new").unwrap();
    assert_eq!(std::fs::read_dir(&gone).unwrap().count(), 1024);
    assert!(journal.is_buried("nu-new") && journal.is_buried("nu0") && !journal.is_buried("nu1023"));
}

#[test]
fn a_wish_to_stop_is_seen_until_it_is_taken_back() {
    let disk = Disk::new();
    let journal = disk.journal();
    assert!(!journal.is_asked_to_stop("nu1"));
    journal.ask_to_stop("nu1").unwrap();
    journal.ask_to_stop("nu1").unwrap();
    assert!(journal.is_asked_to_stop("nu1") && !journal.is_asked_to_stop("nu2"));
    journal.forget_stop("nu1");
    assert!(!journal.is_asked_to_stop("nu1"));
}

#[test]
fn a_full_journal_takes_no_new_attachment_and_still_lets_old_ones_change() {
    let disk = Disk::new();
    disk.journal().save(&record("nu0")).unwrap();
    for number in 1..1024 {
        std::fs::write(disk.file(&format!("nu{number}")), "{}").unwrap();
    }
    let error = disk.journal().save(&record("nu-new")).unwrap_err();
    assert_eq!(error.code(), 11);
    let mut old = record("nu0");
    old.state = State::Attached;
    disk.journal().save(&old).unwrap();
    assert_eq!(disk.journal().load("nu0").unwrap(), Entry::Record(Box::new(old)));
}

#[test]
fn a_sandbox_is_locked_by_one_whatever_its_name() {
    let disk = Disk::new();
    let held = disk.journal().try_lock("../a b").unwrap();
    assert!(held.is_some());
    assert!(disk.journal().try_lock("../a b").unwrap().is_none());
    assert!(disk.journal().try_lock("another").unwrap().is_some());
    assert!(disk.directory.path().join("run/locks").is_dir());
}

/// Files of the disk whose reads are counted.
struct Counted(Arc<dyn Files>, Arc<AtomicUsize>);

impl Files for Counted {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        self.1.fetch_add(
            usize::from(path.extension().is_some_and(|extension| extension == "json")),
            Ordering::Relaxed,
        );
        self.0.read(path, limit)
    }
    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.0.write(path, content)
    }
    fn write_lightly(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.0.write_lightly(path, content)
    }
    fn remove(&self, path: &Path) -> io::Result<bool> {
        self.0.remove(path)
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.0.list(directory)
    }
    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        self.0.try_lock(path)
    }
}

fn of_pod(port: &str, name: &str, boot_id: &str) -> Record {
    let pod = Pod { namespace: "shop".into(), name: name.into(), uid: None };
    let mut of_pod = record(port);
    of_pod.pod = Some(pod);
    boot_id.clone_into(&mut of_pod.boot_id);
    of_pod
}

#[tokio::test]
async fn of_a_full_node_only_the_pods_own_records_and_the_debts_are_read() {
    let mut disk = Disk::new();
    let reads = Arc::new(AtomicUsize::new(0));
    disk.host.files = Arc::new(Counted(Arc::clone(&disk.host.files), Arc::clone(&reads)));
    let boot_id = nuage_cni::journal::boot_id(&*disk.host.files);
    let taken = || reads.swap(0, Ordering::Relaxed);
    let journal = disk.journal();
    for number in 0..100 {
        journal.begin(&of_pod(&format!("nu{number}"), &format!("web-{number}"), &boot_id)).await.unwrap();
    }
    let second = of_pod("nu-second", "web-7", &boot_id);
    journal.begin(&second).await.unwrap();
    taken();
    let pod = |name: &str| Pod { namespace: "shop".into(), name: name.into(), uid: None };
    assert!(
        journal.has_open(&pod("web-7"), &second)
            && !journal.has_open(&pod("web-3"), &of_pod("nu3", "web-3", &boot_id))
    );
    assert_eq!(taken(), 3, "two of web-7 and one of web-3");
    assert!(journal.debts().unwrap().is_empty());
    assert_eq!(taken(), 0);

    journal.settle(&second.owing(true, false)).unwrap();
    assert_eq!(journal.debts().unwrap(), [second.owing(true, false)]);
    assert!(!journal.has_open(&pod("web-7"), &of_pod("nu7", "web-7", &boot_id)), "what is owed is not open");

    // Without the marks, as after a start of the machine, the records themselves are asked.
    std::fs::remove_dir_all(disk.directory.path().join("run/open")).unwrap();
    assert!(journal.has_open(&pod("web-7"), &second));
    assert_eq!(journal.debts().unwrap(), [second.owing(true, false)]);

    // Nothing is left of what goes.
    journal.begin(&of_pod("nu-last", "web-last", &boot_id)).await.unwrap();
    journal.remove("nu-last").unwrap();
    assert_eq!(std::fs::read_dir(disk.directory.path().join("run/open")).unwrap().count(), 0);
}
