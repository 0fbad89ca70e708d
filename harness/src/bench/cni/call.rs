//! One call of one plugin, timed from outside, plainly or under a meter.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::error::Error;
use crate::stopwatch::Stopwatch;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meter {
    /// Milliseconds from the start of the process to its end.
    Clock,
    /// Milliseconds on processors (`perf stat`).
    Processor,
    /// MiB at most (GNU `time`). A process started by a small one: a large parent's memory would count as the child's.
    Memory,
    /// Millions of instructions outside the kernel (`valgrind --tool=callgrind`).
    Instructions,
}

impl Meter {
    /// Words before the executable.
    fn prefix(self) -> &'static [&'static str] {
        match self {
            Self::Clock => &[],
            Self::Processor => &["perf", "stat", "-x,", "-e", "task-clock"],
            Self::Memory => &["/usr/bin/time", "-f", "%M"],
            Self::Instructions => &["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"],
        }
    }

    /// Whether this machine has it.
    pub(super) fn is_there(self) -> bool {
        let words = [self.prefix(), &["/bin/true"]].concat();
        let run =
            Command::new(words[0]).args(&words[1..]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        run.is_ok_and(|status| status.success())
    }

    /// The figure among what the meter said on standard error.
    fn read(self, text: &str) -> Option<f64> {
        match self {
            Self::Clock => None,
            Self::Processor => {
                text.lines().find(|line| line.contains("task-clock"))?.split(',').next()?.parse().ok()
            }
            Self::Memory => text.lines().last()?.trim().parse::<f64>().ok().map(|kib| kib / 1024.0),
            Self::Instructions => {
                let line = text.lines().find(|line| line.contains("Collected :"))?;
                line.rsplit(':').next()?.trim().parse::<f64>().ok().map(|count| count / 1e6)
            }
        }
    }
}

/// A plugin and what a runtime would have configured for it.
#[derive(Clone, Debug)]
pub(super) struct Plugin {
    pub(super) executable: PathBuf,
    pub(super) network: Value,
}

/// A sandbox.
#[derive(Clone, Debug, Default)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) namespace: String,
}

impl Plugin {
    /// Calls it, and returns what the meter shows.
    pub(super) fn call(&self, verb: &str, call: &Call, meter: Meter) -> Result<f64, Error> {
        let executable = self.executable.to_string_lossy();
        let words: Vec<&str> = meter.prefix().iter().copied().chain([executable.as_ref()]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("CNI_COMMAND", verb).env("CNI_CONTAINERID", &call.id).env("CNI_IFNAME", "eth0");
        command.env("CNI_NETNS", Path::new("/var/run/netns").join(&call.namespace));
        command.env("CNI_PATH", self.executable.parent().unwrap_or(Path::new("/")));
        let id = &call.id;
        let args = format!(
            "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={id};K8S_POD_INFRA_CONTAINER_ID={id}"
        );
        command.env("CNI_ARGS", args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let stdin = self.network.to_string();
        let watch = Stopwatch::start();
        let output = spoken(command, &stdin)
            .map_err(|source| Error::File { path: self.executable.clone(), source })?;
        let took = watch.elapsed().as_secs_f64() * 1e3;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            let answer = String::from_utf8_lossy(&output.stdout);
            return Err(Error::Site(format!("{verb} of {executable}: {answer}{said}")));
        }
        match meter {
            Meter::Clock => Ok(took),
            meter => meter.read(&said).ok_or_else(|| Error::Site(format!("{meter:?} said: {said}"))),
        }
    }

    /// Size of the executable.
    pub(super) fn megabytes(&self) -> Result<f64, Error> {
        let found = std::fs::metadata(&self.executable);
        let found = found.map_err(|source| Error::File { path: self.executable.clone(), source })?;
        let bytes = u32::try_from(found.len()).unwrap_or(u32::MAX);
        Ok(f64::from(bytes) / 1e6)
    }
}

fn spoken(mut command: Command, stdin: &str) -> std::io::Result<Output> {
    use std::io::Write as _;
    let mut child = command.spawn()?;
    // Who does not read it, ends without it.
    let _ = child.stdin.take().map(|mut pipe| pipe.write_all(stdin.as_bytes()));
    child.wait_with_output()
}
