//! What is in packaging/ fits the program: versions, command lines, configurations, units. `scripts/packages` tries the rest for real.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser as _;
use yaml_rust2::{Yaml, YamlLoader};

use crate::harness::process::SALEBRIDGE;

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn yaml(file: &str) -> Vec<Yaml> {
    YamlLoader::load_from_str(&read(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The files below a folder with one of these endings.
fn files(folder: &str, endings: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| endings.iter().any(|known| ending == *known)) {
                found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn every_file_names_the_version_that_is_built() {
    let chart = &yaml("packaging/helm/salebridge/Chart.yaml")[0];
    assert_eq!((chart["version"].as_str(), chart["appVersion"].as_str()), (Some(VERSION), Some(VERSION)));
    let mut images = 0;
    let mut documents = files("packaging/kubernetes", &["yaml"]);
    documents.extend(files("packaging/compose", &["yaml"]));
    documents.extend(["docs/install.md".to_owned(), "packaging/container/Containerfile".to_owned()]);
    for file in documents {
        for rest in read(&file).split("salebridge:").skip(1).filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
            let version: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
            // A port's mapping and a user's number are no versions.
            if version.contains('.') {
                assert_eq!(version, VERSION, "{file}");
                images += 1;
            }
        }
    }
    assert!(images >= 6, "the images were not found");
    for name in ["salebridge-", "salebridge_"] {
        for rest in read("docs/install.md").split(name).skip(1).filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
            assert!(rest.starts_with(VERSION), "docs/install.md: {name}{}", &rest[..12]);
        }
    }
}

#[test]
fn every_manifest_is_an_object_of_its_folder() {
    let files = files("packaging/kubernetes", &["yaml"]);
    assert!(files.len() >= 12);
    for file in files {
        for document in yaml(&file) {
            assert!(document["apiVersion"].as_str().is_some() && document["kind"].as_str().is_some(), "{file}");
            assert!(document["metadata"]["labels"]["app.kubernetes.io/name"].as_str().is_some(), "{file}");
        }
    }
}

/// Everything that is started somewhere is a command line that the program knows.
#[test]
fn every_command_in_packaging_is_understood() {
    let mut commands = Vec::new();
    let unit = read("packaging/systemd/salebridge.service");
    commands.extend(unit.lines().filter_map(|line| line.strip_prefix("ExecStart=/usr/bin/")).map(str::to_owned));
    let container = read("packaging/container/Containerfile");
    let list = |text: &str| serde_json::from_str::<Vec<String>>(text).unwrap().join(" ");
    let part = |word: &str| container.lines().find_map(|line| line.strip_prefix(word)).map(list).unwrap();
    commands.push(format!("{} {}", part("ENTRYPOINT "), part("CMD ")));
    commands.push(
        container
            .lines()
            .find_map(|line| line.starts_with("HEALTHCHECK ").then(|| list(line.split("CMD ").nth(1).unwrap())))
            .unwrap(),
    );
    for file in ["sidecar", "deployment"].map(|form| format!("packaging/kubernetes/{form}/deployment.yaml")) {
        let line = read(&file).lines().find_map(|line| line.trim().strip_prefix("args: ").map(list)).unwrap();
        commands.push(format!("salebridge {line}"));
    }
    for line in read("docs/install.md").lines() {
        let quoted = line.split('`').skip(1).step_by(2).filter(|text| text.starts_with("salebridge "));
        commands.extend(quoted.map(str::to_owned));
        if let Some((_, inside)) = line.split_once("/usr/bin/salebridge ").filter(|_| !line.contains("install")) {
            commands.push(format!("salebridge {inside}"));
        }
    }
    assert!(commands.len() >= 9, "the commands were not found: {commands:?}");
    for command in commands {
        let command = command.replace("/usr/bin/", "");
        let parsed = salebridge::cli::Arguments::try_parse_from(command.split_whitespace());
        assert!(parsed.is_ok(), "{command}: {}", parsed.unwrap_err());
    }
}

/// Each configuration in packaging/ has no fault, with the variables that its secrets name, and its list of secrets names them all.
#[test]
fn every_configuration_in_packaging_has_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let mut texts = Vec::new();
    for file in files("packaging", &["toml"]) {
        let example = Path::new(&file).with_file_name(".env.example");
        let variables = root().join(&example).is_file().then(|| read(example.to_str().unwrap()));
        // What the package's own configuration shows behind # is what people will switch on.
        let is_shown =
            |line: &str| line.starts_with("# [[") || line.split_once(" = ").is_some_and(|(key, _)| key.split(' ').count() == 2);
        let text: String =
            read(&file).lines().map(|line| format!("{}\n", if is_shown(line) { &line[2..] } else { line })).collect();
        texts.push((file.clone(), text, variables));
    }
    for form in ["sidecar", "deployment"] {
        let configuration = yaml(&format!("packaging/kubernetes/{form}/configuration.yaml"));
        let secret = &yaml(&format!("packaging/kubernetes/{form}/secret.yaml"))[0]["stringData"];
        let names = secret.as_hash().unwrap().keys().map(|key| format!("{}=\n", key.as_str().unwrap())).collect::<String>();
        texts.push((form.to_owned(), configuration[0]["data"]["config.toml"].as_str().unwrap().to_owned(), Some(names)));
    }
    let values = &yaml("packaging/helm/salebridge/values.yaml")[0];
    texts.push(("values.yaml".to_owned(), values["config"]["more"].as_str().unwrap().to_owned(), None));
    assert!(texts.len() >= 6);
    for (file, text, variables) in texts {
        let text = text.replace("sqlite:/data", "sqlite:.").replace("sqlite:/var/lib/salebridge", "sqlite:.");
        let config = folder.path().join("config.toml");
        std::fs::write(&config, &text).unwrap();
        let mut command = Command::new(SALEBRIDGE);
        command.arg("--config").arg(&config).arg("check").env_clear();
        for name in text.lines().filter(|line| !line.starts_with('#')).flat_map(|line| line.split("${").skip(1)) {
            let name = name.split('}').next().unwrap();
            let is_listed =
                variables.as_ref().is_none_or(|known| known.lines().any(|line| line.starts_with(&format!("{name}="))));
            // The compose file of PostgreSQL makes the URL of the password.
            assert!(is_listed || name == "DATABASE_URL", "{file}: {name} is in no list of secrets");
            command.env(name, if name == "DATABASE_URL" { "postgres://a:b@db.example.com/c" } else { "whsec_test" });
        }
        let checked = command.output().unwrap();
        assert!(checked.status.success(), "{file}: {checked:?}");
    }
}

#[test]
fn the_units_are_closed_and_work_together() {
    let (service, socket) = (read("packaging/systemd/salebridge.service"), read("packaging/systemd/salebridge.socket"));
    for line in [
        "DynamicUser=yes",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "CapabilityBoundingSet=",
        "MemoryDenyWriteExecute=yes",
        "SystemCallFilter=@system-service",
        "Type=notify",
        "ExecReload=/bin/kill -HUP $MAINPID",
    ] {
        assert!(service.lines().any(|known| known == line), "the service lacks {line}");
    }
    assert!(socket.lines().any(|line| line == "Service=salebridge.service"));
    assert!(socket.lines().any(|line| line == "FileDescriptorName=public"));
    // What the service looks for is where the package puts it, and the listener is the same with and without the socket.
    let configuration = read("packaging/debian/config.toml");
    assert!(service.contains("SALEBRIDGE_CONFIG=/etc/salebridge/config.toml") && service.contains("StateDirectory=salebridge"));
    assert!(configuration.contains("sqlite:/var/lib/salebridge/"));
    let listen = configuration.lines().find_map(|line| line.strip_prefix("listen = ")).unwrap().trim_matches('"');
    assert!(socket.lines().any(|line| line == format!("ListenStream={listen}")));
    let version = Command::new("systemd-analyze").arg("--version").output();
    if version.is_ok_and(|output| output.status.success()) {
        let unit = root().join("packaging/systemd/salebridge.service");
        let judged = Command::new("systemd-analyze").args(["security", "--offline=true"]).arg(unit).output().unwrap();
        let text = String::from_utf8_lossy(&judged.stdout);
        let last = text.lines().last().unwrap_or_default();
        assert!([" OK", " SAFE", " PERFECT"].iter().any(|word| last.contains(word)), "{last}");
    }
}

#[test]
fn the_release_runs_the_projects_own_scripts() {
    let workflow = &yaml(".github/workflows/release.yml")[0];
    let mut runs = Vec::new();
    for (_, job) in workflow["jobs"].as_hash().unwrap() {
        assert!(job["runs-on"].as_str().is_some());
        runs.extend(job["steps"].as_vec().unwrap().iter().filter_map(|step| step["run"].as_str()));
    }
    for script in ["scripts/test", "scripts/audit", "scripts/package", "scripts/packages --built"] {
        assert!(runs.iter().any(|run| run.contains(script)), "{script} is not run");
        assert!(root().join(script.split(' ').next().unwrap()).is_file());
    }
    for (_, service) in ["sqlite", "postgres"].iter().flat_map(|form| {
        let compose = yaml(&format!("packaging/compose/{form}/compose.yaml"));
        compose[0]["services"].as_hash().unwrap().clone()
    }) {
        assert!(service["image"].as_str().is_some_and(|image| image.contains(':')), "{service:?}");
    }
}

/// Needed for the Debian package: cargo-deb finds each file that it is told of, or the release makes it.
#[test]
fn the_debian_package_is_made_of_files_that_are_there() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let debian = manifest["package"]["metadata"]["deb"].as_table().unwrap();
    let mut targets = Vec::new();
    for asset in debian["assets"].as_array().unwrap() {
        let (source, target) = (asset[0].as_str().unwrap(), asset[1].as_str().unwrap());
        let is_made = source.starts_with("dist/generated/") || source.starts_with("target/");
        assert!(is_made || root().join(source).is_file(), "{source} is not there");
        targets.push(format!("/{target}"));
    }
    for conffile in debian["conf-files"].as_array().unwrap() {
        let folder = conffile.as_str().unwrap().rsplit_once('/').unwrap().0;
        assert!(targets.iter().any(|target| target.trim_end_matches('/') == folder), "{conffile} is not in the package");
    }
    for script in ["postinst", "postrm"] {
        assert!(
            read(&format!("packaging/debian/scripts/{script}")).contains("#DEBHELPER#"),
            "{script} drops what the units need"
        );
    }
}
