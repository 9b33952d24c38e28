//! The commented file and the guide against the code.
use super::*;

/// The commented file is the documentation; it must not lie.
#[test]
fn the_commented_file_is_exactly_the_defaults() {
    let uncommented: String = load::known(DEFAULT)
        .iter()
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
    let known = load::known(DEFAULT);
    let printed = format!("{:#?}", Config::default());
    let settings =
        printed.lines().filter(|it| it.starts_with("        ") && !it.starts_with("         ") && it.contains(": "));
    let names: Vec<_> = settings.map(|it| it.trim().split(':').next().unwrap_or_default()).collect();

    assert!(30 < names.len());
    for name in names {
        assert!(known.values().any(|keys| keys.contains_key(name)), "`{name}` is not in config.toml");
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
