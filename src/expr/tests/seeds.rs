//! What the fuzzer begins with, asked in every run: the fuzzer itself takes too long for that.
use super::*;

#[test]
fn every_seed_of_the_fuzzer_becomes_sql_that_runs_or_is_refused() {
    let world = World::new();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/expression");
    let (mut ran, mut refused) = (0, 0);
    for file in std::fs::read_dir(folder).expect("seeds") {
        let text = std::fs::read_to_string(file.expect("a seed").path()).expect("text");
        for purpose in [Purpose::Filter, Purpose::Rule, Purpose::CreateRule, Purpose::UpdateRule] {
            match world.compile("posts", purpose, &text) {
                Ok(compiled) => {
                    world.select("posts", &compiled);
                    ran += 1;
                }
                Err(error) => {
                    assert!(error.code.starts_with("expression-") && !error.detail.is_empty(), "{text}: {error:?}");
                    refused += 1;
                }
            }
        }
    }
    assert!(0 < ran && 0 < refused, "{ran} ran, and {refused} were refused");
}
