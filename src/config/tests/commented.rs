//! The commented file and the guide against the code.
use super::*;

/// The commented file is the documentation; it must not lie.
#[test]
fn the_commented_file_is_exactly_the_defaults() {
    let uncommented: String = load::known(DEFAULT)
        .iter()
        .filter(|(section, _)| !is_list(section))
        .map(|(section, keys)| {
            let keys: String = keys.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
            format!("[{section}]\n{keys}")
        })
        .collect();

    assert_eq!(fixture(DEFAULT).load(), Config::default());
    assert_eq!(fixture(&uncommented).load(), Config::default());
}

/// Each setting is in the file, so that a new one cannot be forgotten there.
#[test]
fn the_commented_file_names_every_setting() {
    let mut config = Config::default();
    // Of a list the file shows one.
    Arc::make_mut(&mut config.mail).fallback.push(MailServer::default());
    let mut settings = merge::Known::new();
    for (section, keys) in toml::Table::try_from(config).expect("settings") {
        load::add_known(&mut settings, section, keys);
    }
    let named = load::known(DEFAULT);

    assert_eq!(named.keys().collect::<Vec<_>>(), settings.keys().collect::<Vec<_>>());
    for (section, keys) in &named {
        assert_eq!(keys.keys().collect::<Vec<_>>(), settings[section].keys().collect::<Vec<_>>(), "[{section}]");
    }
}

/// The guide is what operators read.
#[test]
fn the_guide_names_every_setting() {
    let guide = include_str!("../../../assets/docs/configuration.md");
    for (section, keys) in load::known(DEFAULT) {
        assert!(guide.contains(&format!("[{section}]")), "[{section}]");
        for key in keys.keys() {
            assert!(guide.contains(&format!("`{key}`")), "`{key}`");
        }
    }
}

/// Someone who changes a setting and sees nothing happen looks here.
#[test]
fn the_guide_says_which_settings_count_after_a_restart() {
    let guide = include_str!("../../../assets/docs/configuration.md");
    let mut section = "";
    for line in guide.lines() {
        section = line.strip_prefix("## [").and_then(|it| it.strip_suffix(']')).unwrap_or(section);
        let Some((key, told)) = line.strip_prefix("| `").and_then(|it| it.split_once('`')) else { continue };
        let setting = format!("{section}.{key}");
        assert_eq!(told.contains("*Restart.*"), live::counts_after_restart(&setting), "{setting}");
    }
}
