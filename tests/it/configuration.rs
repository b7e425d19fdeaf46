//! The configuration: complete, checked as a whole, and never believed half.

use std::path::Path;

use crate::harness::process::run;

fn faults(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    salebridge::app::load(&path).err().map(|faults| faults.to_string()).unwrap_or_default()
}

#[test]
fn all_faults_are_reported_at_once_with_file_and_key() {
    let text = r#"
        pack_dirs = ["${SALEBRIDGE_TEST_MISSING}"]
        [server]
        listen = "nowhere"
        body_limit_bytes = 5
        surprise = true
        [admin]
        listen = "0.0.0.0:8081"
        [store]
        url = "mysql://db/x"
        [[sources]]
        name = "Stripe!"
        pack = "stripe"
        secrets = ["${SALEBRIDGE_TEST_MISSING}"]
        accept = "everything"
        [[sources]]
        name = "other"
        pack = "nobody"
        secrets = []
        [[sources]]
        name = "other"
        pack = "razorpay"
        secrets = ["x"]
        [[upstreams]]
        name = "cutmeshort"
        template = "cutmeshort"
        token = "file:nowhere"
        base_url = "http://api.example.com"
        event_name = "a sale"
        requests_per_minute = 0
        [[upstreams]]
        name = "cutmeshort"
        template = "nobody"
        token = "t"
    "#;
    let found = faults(text);
    let keys = [
        "server.listen",
        "server.body_limit_bytes",
        "server.surprise",
        "admin.token",
        "store.url",
        "pack_dirs[0]",
        "sources[0].name",
        "sources[0].secrets[0]",
        "sources[0].accept",
        "sources[1].pack",
        "sources[2].name",
        "upstreams[0].token",
        "upstreams[0].base_url",
        "upstreams[0].event_name",
        "upstreams[0].requests_per_minute",
        "upstreams[1].template",
        "upstreams[1].name",
    ];
    for key in keys {
        assert!(found.contains(&format!("config.toml: {key}: ")), "{key} is missing in:\n{found}");
    }
    assert_eq!(found.lines().count(), keys.len(), "each is said once, and nothing else: {found}");
}

#[test]
fn secrets_come_from_the_environment_or_a_file_and_never_stand_in_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "whsec_from_a_file\n").unwrap();
    std::fs::write(folder.path().join("empty"), "\n").unwrap();
    let path = folder.path().join("config.toml");
    let source = |secret: &str| format!("[[sources]]\nname = \"s\"\npack = \"stripe\"\nsecrets = {secret}\n");
    let load = |text: String| {
        std::fs::write(&path, text).unwrap();
        salebridge::app::load(&path).map_err(|faults| faults.to_string())
    };
    assert!(load(source("[\"file:secret\"]")).is_ok());
    assert!(load(source("[\"${CARGO_MANIFEST_DIR}\"]")).is_ok());
    assert!(load(source("[\"file:empty\"]")).unwrap_err().contains("is empty"));
    assert!(
        load(source("[\"${SALEBRIDGE_TEST_MISSING}\"]")).unwrap_err().contains("SALEBRIDGE_TEST_MISSING is missing or empty")
    );
    assert!(load(source("[\" \"]")).unwrap_err().contains("sources[0].secrets[0]: the secret is empty"));
    let fault = load(source("\"whsec_very_private\"")).unwrap_err();
    assert!(fault.contains("sources[0].secrets: ") && !fault.contains("private"), "{fault}");
}

#[test]
fn what_would_be_dangerous_is_refused() {
    let base = "[[sources]]\nname = \"s\"\npack = \"stripe\"\nsecrets = [\"x\"]\n";
    let upstream =
        |line: &str| faults(&format!("{base}[[upstreams]]\nname = \"u\"\ntemplate = \"cutmeshort\"\ntoken = \"t\"\n{line}\n"));
    assert_eq!(upstream(""), "");
    assert_eq!(upstream("base_url = \"http://127.0.0.1:9\""), "");
    assert_eq!(upstream("base_url = \"http://localhost:9\""), "");
    assert_eq!(upstream("base_url = \"http://sink:9\"\nallow_private = true"), "");
    for url in
        ["http://api.cme.sh", "ftp://api.cme.sh", "https://user:pass@api.cme.sh", "https://api.cme.sh?x=1", "api.cme.sh", ""]
    {
        assert!(upstream(&format!("base_url = \"{url}\"")).contains("upstreams[0].base_url"), "{url}");
    }
    let twice = faults(&format!("{base}{base}"));
    assert!(twice.contains("is the name of another source as well"), "{twice}");
    let shared = faults(&format!(
        "{base}account = \"a\"\n[[sources]]\nname = \"r\"\npack = \"razorpay\"\nsecrets = [\"x\"]\naccount = \"a\"\n"
    ));
    assert!(shared.contains("share the account a, but use different packs"), "{shared}");
    assert!(faults("").contains("sources: there is none"));
    let days = |line: &str| faults(&format!("{base}[retention]\n{line}\n"));
    assert_eq!(days("ignored_days = 0\nattempts_days = 3650"), "");
    for key in ["ignored_days", "attempts_days"] {
        assert!(days(&format!("{key} = 3651")).contains(&format!("retention.{key}: must be between 0")), "{key}");
        assert!(days(&format!("{key} = -1")).contains(&format!("retention.{key}: ")), "{key}");
    }
    let alarms = |lines: &str| faults(&format!("{base}[alarms]\n{lines}\n"));
    assert_eq!(alarms("url = \"https://hooks.example.com/a?b=c\"\nsilence_odds = 0"), "");
    assert_eq!(alarms("url = \"http://127.0.0.1:9/alarms\""), "");
    assert_eq!(alarms("url = \"http://alarms:9\"\nallow_private = true"), "");
    assert!(alarms("").contains("alarms.url: missing"), "there is nothing without a URL");
    for url in ["http://hooks.example.com", "ftp://x.example.com", "https://user:pass@x.example.com", "hooks", ""] {
        let found = alarms(&format!("url = \"{url}\""));
        assert!(found.contains("alarms.url: ") && !found.contains("pass"), "{url}: {found}");
    }
    let fault = alarms("url = \"https://hooks.example.com\"\nunattributed_points = 101");
    assert!(fault.contains("alarms.unattributed_points: must be between 1 and 100"), "{fault}");
    let traces = |lines: &str| faults(&format!("{base}[traces]\n{lines}\n"));
    if cfg!(feature = "otlp") {
        assert_eq!(traces("endpoint = \"http://127.0.0.1:4318\""), "");
        assert!(traces("endpoint = \"collector:4318\"").contains("traces.endpoint: must be a URL"));
        assert!(traces("endpoint = \"http://127.0.0.1:4318\"\nsample = 1.5").contains("traces.sample: must be between 0 and 1"));
    } else {
        let fault = traces("endpoint = \"http://127.0.0.1:4318\"");
        assert!(fault.contains("traces: this salebridge was built without traces"), "{fault}");
    }
    let refused = |line: &str| faults(&format!("{base}[refused]\n{line}\n"));
    assert_eq!(refused("keep = false\nper_cause = 1000"), "");
    for line in ["per_cause = 0", "per_cause = 1001"] {
        assert!(refused(line).contains("refused.per_cause: must be between 1 and 1000"), "{line}");
    }
    let net =
        faults(&format!("{base}[[sources]]\nname = \"r\"\npack = \"razorpay\"\nsecrets = [\"x\"]\namount = \"net_of_tax\"\n"));
    assert!(net.contains("no event of this provider says its tax"), "{net}");
}

#[test]
fn the_example_is_complete_and_right() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let example = std::fs::read_to_string(root.join("config.example.toml")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("providers")).unwrap();
    std::fs::create_dir(folder.path().join("upstreams")).unwrap();
    let certified = rcgen::generate_simple_self_signed(["hooks.example.com".to_owned()]).unwrap();
    std::fs::write(folder.path().join("hooks.example.com.pem"), certified.cert.pem()).unwrap();
    std::fs::write(folder.path().join("hooks.example.com.key"), certified.signing_key.serialize_pem()).unwrap();
    let path = folder.path().join("config.toml");
    let check = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let mut command = std::process::Command::new(crate::harness::process::SALEBRIDGE);
        for name in variables(&example) {
            let value = match name.as_str() {
                "SALES_WEBHOOK_SECRET" => "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
                "SALEBRIDGE_ALARM_URL" => "https://hooks.example.com/alarms",
                _ => "0123456789abcdef0123",
            };
            command.env(name, value);
        }
        command.arg("--config").arg(&path).arg("check").output().unwrap()
    };
    let as_it_is = check(&example);
    assert!(as_it_is.status.success(), "{as_it_is:?}");
    // Every option that is only shown works when it is switched on.
    // What only another build takes is marked, and shown all the same.
    let of_other_builds: Vec<String> = example.lines().filter_map(|line| Some(line.strip_prefix("#: ")?.to_owned())).collect();
    assert!(of_other_builds.iter().any(|line| line == "[traces]"), "the mark was not found");
    let here = if cfg!(feature = "otlp") { example.replace("#: ", "") } else { example.clone() };
    let all: String = here.lines().map(|line| switched_on(line).unwrap_or_else(|| line.to_owned()) + "\n").collect();
    let all_on = check(&all);
    assert!(all_on.status.success(), "{all}\n{all_on:?}");
}

#[test]
fn check_answers_with_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let missing = run(Some(&path), &["check"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("config.example.toml"), "{missing:?}");
    std::fs::write(&path, "[[sources]]\nname = \"s\"\npack = \"stripe\"\nsecrets = [\"x\"]\n").unwrap();
    assert_eq!(run(Some(&path), &["check"]).status.code(), Some(0));
}

fn switched_on(line: &str) -> Option<String> {
    let option = line.strip_prefix("# ")?;
    let (key, _) = option.split_once(" = ")?;
    let is_key = key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_key.then(|| option.to_owned())
}

fn variables(text: &str) -> Vec<String> {
    text.split("${").skip(1).filter_map(|rest| Some(rest.split_once('}')?.0.to_owned())).collect()
}
