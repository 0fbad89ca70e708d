//! README and guide: every command does what is shown, in the order of its page, and every link leads somewhere. Commands run in
//! namespaces of their own, with an empty /tmp and the executables of this build.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod support;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{executable, lacks};

/// What stands before a block that is not run, and says why.
const NOT_RUN: &str = "<!-- not run: ";
/// Between what commands print.
const MARK: &str = "@@@";
/// What pages need besides the executables.
const PEERS: [&str; 6] = ["unshare", "ip", "kubectl", "curl", "ovs-vsctl", "ansible-playbook"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Markdown of the repository, relative to its root.
fn pages() -> Vec<PathBuf> {
    let mut found = vec![];
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap().map(Result::unwrap) {
            let (name, path) = (entry.file_name(), folder.join(entry.file_name()));
            let is_directory = entry.file_type().unwrap().is_dir();
            if is_directory && name != "target" && !name.to_string_lossy().starts_with('.') {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A command of a page, and what is shown of its output.
#[derive(Debug)]
struct Shown {
    line: usize,
    command: String,
    output: Vec<String>,
}

/// The commands of a page that are run. A command goes on in the next line after `<<EOF`.
fn commands(page: &Path, text: &str) -> Vec<Shown> {
    let mut found: Vec<Shown> = Vec::new();
    let (mut fence, mut before, mut is_input) = (None, "", false);
    for (number, line) in text.lines().enumerate() {
        let place = format!("{}:{}", page.display(), number + 1);
        if let Some(info) = line.strip_prefix("```") {
            if fence.take().is_none() {
                assert!(!matches!(info, "sh" | "bash" | "shell"), "{place}: commands are shown as `console`");
                fence = Some(info == "console" && !before.starts_with(NOT_RUN));
                if before.starts_with(NOT_RUN) {
                    assert!(
                        before.len() > NOT_RUN.len() + 10 && before.ends_with(" -->"),
                        "{place}: why is it not run?"
                    );
                }
            }
        } else if fence == Some(true) {
            if is_input {
                let command = &mut found.last_mut().unwrap().command;
                let _ = write!(command, "\n{line}");
                is_input = line != "EOF";
            } else if let Some(command) = line.strip_prefix("$ ") {
                is_input = command.ends_with("<<EOF") || command.contains("<<EOF ");
                found.push(Shown { line: number + 1, command: command.to_owned(), output: Vec::new() });
            } else {
                let last =
                    found.last_mut().unwrap_or_else(|| panic!("{place}: no command before its output"));
                last.output.push(line.to_owned());
            }
        }
        if !line.is_empty() {
            before = line;
        }
    }
    found
}

/// The same for other numbers and names: digits, and words that have some, are one.
fn shape(line: &str) -> String {
    let word = |word: &str| {
        let is_hex = word.chars().all(|digit| digit.is_ascii_hexdigit()) && !matches!(word.len(), 1 | 3);
        if is_hex || word.chars().any(|character| character.is_ascii_digit()) {
            "#".to_owned()
        } else {
            word.to_owned()
        }
    };
    let mut shaped = String::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let end = rest.find(|character: char| !character.is_ascii_alphanumeric()).unwrap_or(rest.len());
        if end > 0 {
            shaped.push_str(&word(&rest[..end]));
            rest = &rest[end..];
        } else {
            let next = rest.chars().next().unwrap();
            if !(next.is_whitespace() && shaped.ends_with(' ')) {
                shaped.push(if next.is_whitespace() { ' ' } else { next });
            }
            rest = &rest[next.len_utf8()..];
        }
    }
    shaped
}

/// Whether a line is as it is shown; `...` in it is anything.
fn is_like(shown: &str, line: &str) -> bool {
    let (shown, line) = (shape(shown), shape(line));
    let mut parts = shown.split("...");
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part.trim()) else { return false };
        rest = &rest[at + part.trim().len()..];
    }
    rest.ends_with(last.trim_start())
}

/// Whether an output is as it is shown; `...` alone on a line is any number of lines.
fn matches(shown: &[String], lines: &[&str]) -> bool {
    match (shown.split_first(), lines.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "..." => {
            (0..=lines.len()).any(|skipped| matches(rest, &lines[skipped..]))
        }
        (Some((first, rest)), Some((line, lines))) => is_like(first, line) && matches(rest, lines),
        _ => false,
    }
}

/// A script that runs the commands. What serves until it is told to end is told so at the end of the page.
fn script(shown: &[Shown]) -> String {
    let mut script = String::from(
        "shopt -s expand_aliases\nservers=\ntrap 'for server in $servers; do kill $server; while kill -0 $server 2> /dev/null; do sleep 0.1; done; done' EXIT\n",
    );
    for Shown { command, .. } in shown {
        let _ = writeln!(script, "echo '{MARK}'");
        if command.starts_with("emulator up ") && !command.contains(" | ") {
            let _ = writeln!(
                script,
                "exec 7< <({command} & echo \"$! server\"; wait)\nread -r server _ <&7; servers=\"$server $servers\"\n\
                 while read -r line <&7; do echo \"$line\"; if [ \"$line\" = ready ]; then break; fi; done\n[ \"$line\" = ready ]"
            );
        } else {
            let _ = writeln!(script, "{command}");
        }
        let _ = writeln!(script, "code=$?; if [ $code != 0 ]; then echo \"exit code $code\"; exit 1; fi");
    }
    script
}

/// Makes the ground: an empty /tmp with a copy of what a clone has (and helm's folder, if that is there), and no namespaces but one's
/// own.
const GROUND: &str = r#"set -e
mount -t tmpfs tmpfs /mnt; mkdir /mnt/nuage-cni; cp -r "$1"/deploy "$1"/scenarios "$1"/docs /mnt/nuage-cni
cp "$2" /mnt/script
case $3 in /tmp/?*) mkdir -p "/mnt/${3#/tmp/}"; mount --bind "$3" "/mnt/${3#/tmp/}" ;; esac
mkdir /mnt/executables; mount --bind "$4" /mnt/executables
mount --move /mnt /tmp; mkdir -p /run/netns; mount -t tmpfs tmpfs /run/netns
ip link set lo up; mkdir /tmp/home; cd /tmp/nuage-cni
set +e; . /tmp/script
"#;

fn run(page: &str) {
    let test = format!("commands of {page}");
    if lacks(&test, &PEERS) {
        return;
    }
    let page = Path::new(page);
    let shown = commands(page, &fs::read_to_string(root().join(page)).unwrap());
    assert!(!shown.is_empty(), "{}: nothing is run", page.display());
    let needs_helm = shown.iter().any(|shown| shown.command.starts_with("helm "));
    let python = std::env::var_os("DEPLOY_PYTHON").map(PathBuf::from);
    if needs_helm && python.is_none() {
        #[expect(clippy::print_stderr, reason = "what is skipped is told")]
        {
            eprintln!("SKIPPED {test}: DEPLOY_PYTHON, beside which helm is");
        }
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("script");
    fs::write(&file, script(&shown)).unwrap();
    let executables = executable("emulator").parent().unwrap().to_owned();
    let helm =
        python.as_deref().and_then(Path::parent).map(|path| path.display().to_string()).unwrap_or_default();
    // Wherever they are built, a folder below the old /tmp included.
    let path = format!("/tmp/executables:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin:{helm}");
    let output = Command::new("unshare")
        .args(["--mount", "--net", "--propagation", "private", "bash", "-c", GROUND, "guide"])
        .arg(root())
        .arg(&file)
        .arg(python.as_deref().and_then(Path::parent).and_then(Path::parent).unwrap_or(Path::new("")))
        .arg(executables)
        .env_clear()
        .envs([("PATH", path.as_str()), ("HOME", "/tmp/home"), ("LC_ALL", "C.UTF-8")])
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let mark = format!("{MARK}\n");
    let mut parts = printed.split(mark.as_str()).skip(1);
    for Shown { line, command, output } in &shown {
        let place = format!("{}:{line}: {command}", page.display());
        let part = parts.next().unwrap_or_else(|| panic!("{place}: was not reached\n{told}"));
        let lines: Vec<&str> = part.lines().collect();
        assert!(
            !lines
                .last()
                .is_some_and(|last| last.starts_with("exit code ") && !output.contains(&(*last).to_owned())),
            "{place}\n{part}{told}"
        );
        if !output.is_empty() {
            assert!(
                matches(output, &lines),
                "{place}: prints\n{part}and is shown as\n{}\n{told}",
                output.join("\n")
            );
        }
    }
    assert!(output.status.success(), "{told}");
}

macro_rules! pages {
    ($($test:ident: $page:literal,)*) => {
        $(#[test] fn $test() { run($page); })*

        /// Those that are run.
        const RUN: &[&str] = &[$($page),*];
    };
}

pages! {
    commands_of_the_readme: "README.md",
    commands_of_ten_minutes: "docs/ten-minutes.md",
    commands_of_install: "docs/install.md",
    commands_of_configure: "docs/configure.md",
    commands_of_operate: "docs/operate.md",
    commands_of_troubleshoot: "docs/troubleshoot.md",
    commands_of_emulator: "docs/emulator.md",
    commands_of_scenarios: "docs/scenarios.md",
    commands_of_reports: "docs/report.md",
    commands_of_the_scenario_language: "docs/reference/scenario-language.md",
    commands_of_the_command_line: "docs/reference/command-line.md",
}

#[test]
fn no_page_of_readme_and_guide_has_commands_that_nobody_runs() {
    let of_guide = |page: &PathBuf| page.starts_with("docs") || page == Path::new("README.md");
    for page in pages().into_iter().filter(of_guide) {
        let text = fs::read_to_string(root().join(&page)).unwrap();
        let is_run = RUN.iter().any(|run| Path::new(run) == page);
        assert!(is_run || commands(&page, &text).is_empty(), "{}: is not run", page.display());
    }
}

#[test]
fn what_is_shown_is_compared_up_to_numbers_and_ellipses() {
    assert!(is_like("pod 10.0.0.1 in 3 s", "pod 10.9.0.7  in 41 s"));
    assert!(is_like("eth0@... UP ...", "eth0@if7   UP   10.20.0.2/24"));
    assert!(!is_like("all hold", "one fails") && !is_like("all", "all fail"));
    let shown = ["first", "...", "last"].map(str::to_owned);
    assert!(matches(&shown, &["first", "x", "y", "last"]) && matches(&shown, &["first", "last"]));
    assert!(!matches(&shown, &["first", "x"]) && !matches(&shown[..1], &["first", "more"]));
}

/// As GitHub and mdbook name a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim().to_lowercase().replace(' ', "-");
    text.chars().filter(|character| character.is_alphanumeric() || matches!(character, '-' | '_')).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| anchor(line.trim_start_matches('#')))
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let (mut broken, mut followed) = (String::new(), 0);
    for page in pages() {
        let text = fs::read_to_string(root().join(&page)).unwrap();
        for target in
            text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
        {
            if target.contains("://") || target.contains(char::is_whitespace) {
                continue;
            }
            let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
            let folder = root().join(page.parent().unwrap());
            let file = if path.is_empty() { root().join(&page) } else { folder.join(path) };
            let text = if fragment.is_empty() {
                String::new()
            } else {
                fs::read_to_string(&file).unwrap_or_default()
            };
            if !file.exists() || !fragment.is_empty() && !anchors(&text).contains(fragment) {
                let _ = writeln!(broken, "{}: {target}", page.display());
            }
            followed += 1;
        }
    }
    assert!(followed > 20 && broken.is_empty(), "{followed} links, broken:\n{broken}");
}

#[test]
fn the_guides_contents_has_every_page_once() {
    let summary = fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    for page in pages() {
        let Ok(page) = page.strip_prefix("docs") else { continue };
        if page != Path::new("SUMMARY.md") {
            assert_eq!(summary.matches(&format!("({})", page.display())).count(), 1, "{}", page.display());
        }
    }
}
