//! The manual and the completions: one page a command, understood by groff, telling each option; what shells read they
//! understand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::process::{Command, Output, Stdio};

use flate2::read::GzDecoder;
use nuage_packager::contents::EXECUTABLES;
use nuage_packager::{Format, Version, manual};

/// Every file of every executable, unpacked, by path.
fn files() -> BTreeMap<String, String> {
    let version = Version::parse("v1.2.3").unwrap();
    let mut files = BTreeMap::new();
    for executable in EXECUTABLES {
        for (path, bytes) in manual::files(executable, Format::Rpm, &version).unwrap() {
            let mut text = String::new();
            if path.contains("/man/") {
                GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
            } else {
                text = String::from_utf8(bytes).unwrap();
            }
            assert!(files.insert(path.clone(), text).is_none(), "{path} twice");
        }
    }
    files
}

fn page(executable: &str, words: &[&str]) -> String {
    let section = if matches!(executable, "emulator" | "harness") { 1 } else { 8 };
    let name = [&[executable], words].concat().join("-");
    format!("/usr/share/man/man{section}/{name}.{section}.gz")
}

/// Runs `look` with each command, whatever its depth, and the words below its executable that call it.
fn each(command: &clap::Command, words: &[&str], look: &mut dyn FnMut(&clap::Command, &[&str])) {
    look(command, words);
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        each(below, &[words, &[below.get_name()]].concat(), look);
    }
}

#[test]
fn every_command_and_every_one_below_it_has_its_page_with_each_option_and_there_is_no_other() {
    let files = files();
    let mut expected = BTreeSet::new();
    for executable in EXECUTABLES {
        let mut command = manual::command(executable).unwrap();
        command.build();
        each(&command, &[], &mut |command, words| {
            let path = page(executable, words);
            let text = files.get(&path).unwrap_or_else(|| panic!("no {path}"));
            assert!(text.contains("\"nuage-cni 1.2.3\""), "{path} has no version");
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                let long = argument.get_long().unwrap_or_default().replace('-', "\\-");
                assert!(text.contains(&long), "{path} lacks {long}");
                let variable = argument.get_env().unwrap_or_default().to_str().unwrap();
                assert!(text.contains(variable), "{path} lacks {variable}");
            }
            for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
                assert!(text.contains(below.get_name()), "{path} lacks {}", below.get_name());
            }
            expected.insert(path);
        });
    }
    let pages: BTreeSet<String> = files.into_keys().filter(|path| path.contains("/man/")).collect();
    assert_eq!(pages, expected);
    assert!(pages.len() > 20, "{pages:?}");
}

fn feed(program: &str, arguments: &[&str], text: &str) -> Option<Output> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().ok()?;
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    Some(child.wait_with_output().unwrap())
}

#[test]
fn groff_sets_every_page_without_a_complaint_and_the_notes_line_by_line() {
    let test = "groff_sets_every_page_without_a_complaint_and_the_notes_line_by_line";
    for (path, text) in files().into_iter().filter(|(path, _)| path.contains("/man/")) {
        let Some(set) = feed("groff", &["-man", "-ww", "-Tutf8", "-P-cbou", "-rLL=100n"], &text) else {
            eprintln!("SKIPPED {test}: groff");
            return;
        };
        let complaints = String::from_utf8_lossy(&set.stderr);
        assert!(set.status.success() && complaints.is_empty(), "{path}: {complaints}");
        let shown = String::from_utf8_lossy(&set.stdout).into_owned();
        assert!(shown.contains("NAME") && shown.contains("SYNOPSIS"), "{path}: {shown}");
        if path.ends_with("/nuage-audit.8.gz") {
            assert!(shown.lines().any(|line| line.trim().starts_with("Exit codes: 0 done")), "{shown}");
            assert!(shown.contains("nuage-audit-once(8)"), "{shown}");
        }
        if path.ends_with("/emulator.1.gz") {
            let example = "emulator schema > vswitch.ovsschema   for a real ovsdb-server";
            assert!(shown.lines().any(|line| line.trim() == example), "{shown}");
        }
    }
}

#[test]
fn shells_understand_their_completions_and_bash_completes_verbs_and_options() {
    let test = "shells_understand_their_completions_and_bash_completes_verbs_and_options";
    let files = files();
    for (directory, shell) in [("bash-completion", "bash"), ("fish", "fish"), ("zsh", "zsh")] {
        let mut seen = 0;
        for (path, text) in files.iter().filter(|(path, _)| path.contains(&format!("/{directory}/"))) {
            let Some(read) = feed(shell, &["-n"], text) else {
                eprintln!("SKIPPED {test} ({shell}): {shell}");
                break;
            };
            assert!(read.status.success(), "{path}: {}", String::from_utf8_lossy(&read.stderr));
            seen += 1;
        }
        assert!(seen == 0 || seen == EXECUTABLES.len() - 1, "{seen}: all but loopback, which has no options");
    }
    let script = format!(
        "{}\ncomplete_it() {{ COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _nuage__audit nuage-audit \
         \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; echo \"${{COMPREPLY[*]}}\"; }}\n\
         complete_it nuage-audit ex\ncomplete_it nuage-audit once --dr\n",
        files["/usr/share/bash-completion/completions/nuage-audit"]
    );
    if let Some(done) = feed("bash", &["--norc"], &script) {
        assert_eq!(String::from_utf8_lossy(&done.stdout), "explain\n--dry-run\n", "{done:?}");
    }
}
