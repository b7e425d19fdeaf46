//! What the documents say is what the program takes.

use clap::Parser as _;

fn read(file: &str) -> String {
    std::fs::read_to_string(format!("{}/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn every_command_of_the_readme_is_understood() {
    let text = read("README.md");
    let commands: Vec<&str> = text.lines().filter(|line| line.starts_with("salebridge ")).collect();
    assert!(commands.len() > 10, "the commands were not found");
    for line in commands {
        let command = line.split(" #").next().unwrap().trim();
        let words = command.split_whitespace();
        assert!(salebridge::cli::Arguments::try_parse_from(words).is_ok(), "{command}");
    }
}

#[test]
fn every_file_that_a_document_links_to_is_there() {
    for document in [
        "README.md",
        "ARCHITECTURE.md",
        "providers/README.md",
        "docs/alarms.md",
        "docs/metrics.md",
        "docs/performance.md",
        "docs/start.md",
        "docs/storage.md",
    ] {
        let folder = std::path::Path::new(document).parent().unwrap().to_path_buf();
        for link in read(document).split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
            let is_elsewhere = link.contains("://");
            let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
            let path = if file.is_empty() { root.join(document) } else { root.join(&folder).join(file) };
            assert!(is_elsewhere || path.exists(), "{document} links to {link}");
            if let Some(heading) = heading.filter(|_| !is_elsewhere) {
                let text = std::fs::read_to_string(&path).unwrap();
                let anchor =
                    |line: &str| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-").replace(['`', ':'], "");
                let is_there = text.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == heading);
                assert!(is_there, "{document} links to {link}, a heading that is not there");
            }
        }
    }
}

#[test]
fn every_pack_has_a_short_readme() {
    for entry in std::fs::read_dir(format!("{}/providers", env!("CARGO_MANIFEST_DIR"))).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let text = std::fs::read_to_string(path.join("README.md")).unwrap();
            assert!(text.lines().count() <= 40, "{}: more than 40 lines", path.display());
            assert!(text.contains("customerExternalId") && text.contains("clickId"), "{}", path.display());
        }
    }
}
