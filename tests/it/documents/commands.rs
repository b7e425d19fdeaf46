//! Every command in a document is one that the program understands.

use clap::Parser as _;
use clap::error::ErrorKind;

use super::{Block, all};

/// What a block may hold. Each is tried by a test of this folder, but for those that only show: text that is printed, a request, the
/// code of the team's own server, what systemd, nginx and Caddy read. (`console` is the transcript that `starting` makes.)
const LANGUAGES: [&str; 16] = [
    "sh",
    "toml",
    "yaml",
    "json",
    "",
    "text",
    "js",
    "ts",
    "php",
    "python",
    "html",
    "swift",
    "ini",
    "nginx",
    "caddyfile",
    "console",
];

#[test]
fn every_kind_of_block_is_one_that_is_tried_or_only_shows() {
    for document in all() {
        for Block { language, line, .. } in document.blocks() {
            let place = format!("{}:{line}", document.path.display());
            assert!(LANGUAGES.contains(&language.as_str()), "{place}: nothing tries blocks of {language}: add a test for them");
        }
    }
}

#[test]
fn every_command_in_a_block_is_understood() {
    let mut count = 0;
    for document in all() {
        for block in document.blocks().into_iter().filter(|block| block.language == "sh") {
            for line in block.text.lines() {
                let Some(words) = command_of(line) else { continue };
                count += 1;
                let parsed = salebridge::cli::Arguments::try_parse_from(&words);
                let asks = |error: &clap::Error| matches!(error.kind(), ErrorKind::DisplayVersion | ErrorKind::DisplayHelp);
                let why = parsed.err().filter(|error| !asks(error)).map(|error| error.to_string()).unwrap_or_default();
                assert!(why.is_empty(), "{}, the block at line {}: {line}\n{why}", document.path.display(), block.line);
            }
        }
    }
    assert!(count > 40, "only {count} commands were found");
}

/// Prose names commands without all of their arguments, and with words that stand for something.
#[test]
fn every_command_in_a_sentence_is_known() {
    let mut count = 0;
    for document in all() {
        for (number, line) in document.prose() {
            let spans = line.split('`').skip(1).step_by(2);
            for span in spans.filter(|span| span.starts_with("salebridge ") && !span.starts_with("salebridge_")) {
                count += 1;
                let words = span.split_whitespace().map(|word| match word.trim_end_matches('…') {
                    "ID" => "1",
                    "TIME" => "2026-11-01",
                    word => word,
                });
                let known = match salebridge::cli::Arguments::try_parse_from(words.filter(|word| !word.is_empty())) {
                    Ok(_) => true,
                    Err(error) => matches!(
                        error.kind(),
                        ErrorKind::MissingRequiredArgument
                            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                            | ErrorKind::DisplayVersion
                    ),
                };
                assert!(known, "{}:{number}: `{span}`", document.path.display());
            }
        }
    }
    assert!(count > 60, "only {count} commands were found");
}

/// The words of a line that runs salebridge, without variables before it and remarks behind it.
fn command_of(line: &str) -> Option<Vec<String>> {
    let words = words(line);
    let begin = words.iter().position(|word| !is_assignment(word))?;
    let end = words.iter().position(|word| word.starts_with('#') || matches!(word.as_str(), "|" | ">" | "&&" | ";"));
    let mut command = words[begin..end.unwrap_or(words.len()).max(begin)].to_vec();
    // What a variable says is said as by its option.
    for (name, value) in words[..begin].iter().filter_map(|word| word.split_once('=')) {
        let option = match name {
            "SALEBRIDGE_COPY_TO" => "--to",
            "SALEBRIDGE_CONFIG" => "--config",
            _ => continue,
        };
        command.extend([option.to_owned(), value.to_owned()]);
    }
    (command.first().map(String::as_str) == Some("salebridge")).then_some(command)
}

fn is_assignment(word: &str) -> bool {
    let name = word.split_once('=').map_or("", |(name, _)| name);
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

/// The words as a shell sees them: quotes hold a word together, and so does a command inside `$(…)`.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut depth) = (Vec::new(), String::new(), None, 0_u32);
    for character in line.chars() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None, '(') => (depth += 1, word.push(character)).1,
            (None, ')') => (depth = depth.saturating_sub(1), word.push(character)).1,
            (None, _) if character.is_whitespace() && depth == 0 => {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
            }
            (Some(_) | None, _) => word.push(character),
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

#[test]
fn lines_are_read_as_a_shell_reads_them() {
    let command = |line: &str| command_of(line).map(|words| words.join("|"));
    assert_eq!(command("salebridge check   # every fault").as_deref(), Some("salebridge|check"));
    assert_eq!(command("A_B=\"x y\" salebridge store copy").as_deref(), Some("salebridge|store|copy"));
    assert_eq!(command("SALEBRIDGE_COPY_TO=u salebridge store copy").as_deref(), Some("salebridge|store|copy|--to|u"));
    assert_eq!(
        command("salebridge store backup /b/x-$(date +%F).db").as_deref(),
        Some("salebridge|store|backup|/b/x-$(date +%F).db")
    );
    assert_eq!(command("salebridge report --csv > file.csv").as_deref(), Some("salebridge|report|--csv"));
    assert_eq!(command("scripts/test"), None);
}
