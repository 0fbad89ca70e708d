//! The log on the disk: a line a write, appended, so that calls in parallel do not mix theirs; renamed away when it is full by
//! whoever finds it so. And the audit's socket. A disk or a socket that refuses costs the line, never the call.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::host::{Log, LogFile};

/// Readable for its owner's group: a log names pods, but carries no secret.
const FILE_MODE: u32 = 0o640;
const DIRECTORY_MODE: u32 = 0o750;
/// A link in the log's place is not followed, and a pipe in its place holds nobody up.
const FLAGS: i32 = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits().cast_signed();
/// More than `logfilecount` can be: files of an earlier, larger one are found up to here.
const MOST_FILES: u32 = 100;

/// Logs to files.
#[derive(Debug)]
pub(super) struct FileLog;

impl Log for FileLog {
    fn write(&self, file: &LogFile, line: &str) {
        let _ = append(file, line);
    }

    fn report(&self, socket: &Path, datagram: &[u8]) {
        let _ = send(socket, datagram);
    }
}

fn send(socket: &Path, datagram: &[u8]) -> io::Result<()> {
    let sender = UnixDatagram::unbound()?;
    // An audit that does not keep up loses a datagram; nobody waits for it.
    sender.set_nonblocking(true)?;
    sender.send_to(datagram, socket).map(drop)
}

fn append(log: &LogFile, line: &str) -> io::Result<()> {
    let content = format!("{line}\n");
    let mut file = open(&log.path)?;
    if file.metadata()?.len() + content.len() as u64 > log.bytes {
        rotate(log, content.len() as u64)?;
        file = open(&log.path)?;
    }
    file.write_all(content.as_bytes())
}

fn open(path: &Path) -> io::Result<File> {
    let open = || OpenOptions::new().append(true).create(true).mode(FILE_MODE).custom_flags(FLAGS).open(path);
    let file = match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = path.parent().unwrap_or(Path::new("/"));
            DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(parent)?;
            open()?
        }
        other => other?,
    };
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// `log` -> `log.1` -> `log.2` and so on. One process does it; another that finds the lock taken writes on.
fn rotate(log: &LogFile, more: u64) -> io::Result<()> {
    let lock = open(&numbered(&log.path, "lock"))?;
    if lock.try_lock().is_err() {
        return Ok(());
    }
    // Whoever held the lock before may have done it.
    let full = fs::symlink_metadata(&log.path).is_ok_and(|found| found.len() + more > log.bytes);
    if !full {
        return Ok(());
    }
    let old = |number: u32| numbered(&log.path, &number.to_string());
    for number in (log.count..=MOST_FILES).filter(|number| *number > 0) {
        let _ = fs::remove_file(old(number));
    }
    for number in (1..log.count).rev() {
        let _ = fs::rename(old(number), old(number + 1));
    }
    fs::rename(&log.path, old(1))
}

fn numbered(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn lines(directory: &Path) -> Vec<String> {
        let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let logs = files.filter(|path| path.extension().is_none_or(|extension| extension != "lock"));
        logs.flat_map(|path| fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    #[test]
    fn writers_in_parallel_lose_no_line_and_tear_none_while_the_log_is_rotated() {
        let directory = tempfile::tempdir().unwrap();
        let log = LogFile { path: directory.path().join("a/nuage-cni.log"), bytes: 1000, count: 100 };
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let log = &log;
                scope.spawn(move || {
                    for number in 0..100 {
                        append(log, &format!("writer {writer} line {number:03}")).unwrap();
                    }
                });
            }
        });
        let found = lines(log.path.parent().unwrap());
        assert_eq!(found.len(), 400);
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 400);
        assert!(numbered(&log.path, "1").exists(), "it was rotated");
    }

    #[test]
    fn no_more_full_logs_are_kept_than_asked_for_even_if_there_were_more() {
        let directory = tempfile::tempdir().unwrap();
        let many = LogFile { path: directory.path().join("l"), bytes: 20, count: 5 };
        for number in 0..20 {
            append(&many, &format!("line number {number:03}")).unwrap();
        }
        assert!(numbered(&many.path, "5").exists() && !numbered(&many.path, "6").exists());
        let few = LogFile { count: 2, ..many };
        append(&few, "line number 020").unwrap();
        assert_eq!(fs::read_to_string(&few.path).unwrap(), "line number 020\n");
        assert_eq!(fs::read_to_string(numbered(&few.path, "1")).unwrap(), "line number 019\n");
        assert!(numbered(&few.path, "2").exists() && !numbered(&few.path, "3").exists());
        assert_eq!(fs::metadata(&few.path).unwrap().permissions().mode() & 0o7777, FILE_MODE);
    }

    #[test]
    fn a_link_a_pipe_or_a_directory_in_its_place_costs_the_line_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("target");
        fs::write(&target, "precious").unwrap();
        std::os::unix::fs::symlink(&target, directory.path().join("link")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            directory.path().join("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        for name in ["link", "pipe", "."] {
            FileLog.write(&LogFile { path: directory.path().join(name), bytes: 10, count: 1 }, "line");
        }
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    }

    #[test]
    fn figures_reach_whoever_listens_and_nobody_waits_for_who_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.sock");
        FileLog.report(&path, b"nobody");
        let audit = UnixDatagram::bind(&path).unwrap();
        for _ in 0..10_000 {
            FileLog.report(&path, b"{}");
        }
        let mut buffer = [0; 8];
        assert_eq!(audit.recv(&mut buffer).unwrap(), 2);
    }
}
