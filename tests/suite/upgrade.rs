//! What a release has promised to the data of the one before.
use steading::db::migrate::{SYSTEM, TENANT};

/// Migrations as they were released. A line is added with a migration, and never changed.
const RELEASED: &[(&str, &str)] = &[
    ("0001_system", "a55f83dce5c82b269d9d5eac2cabf6964c0ea6d6e76595794efb87719f669f97"),
    ("0002_audit", "80247c1da3e9595e2a12cc46d0708f52f2be44a18e0329fb172cfa5d29468800"),
    ("0003_signing_keys", "2b0a3fbf8c0c1cc99ed4fadaebe4ad458d09e2e13ba0814e6b5bb6a667be2971"),
    ("0004_master_keys", "9e5d2b078925e31e1292f14539aa43a46129af405b722c4bac28cb67147b3af0"),
    ("0001_accounts", "227b88497564707a2a7a6e6f73eb890bfd9a9a5148cd08dfe6177379de0207c7"),
    ("0002_collections", "b242b81f072a1d6a9dc45026aea557f6c28282311915e98d0c420a3bc133427c"),
    ("0003_events", "02a9bed5ad372abe6d025f2f74942d1f3ca9ed8d3a337b5c115c07a56c950554"),
    ("0004_schema_history", "b624a5a755461d0b8e2a0b636e93189e93095f18c24c4f85af83a00e22554f9d"),
    ("0005_jobs_and_mail", "38b62e2c154181d36d66d0378b29b0e08429e2ef805f437fe0c17c4ef7eacf63"),
    ("0006_roles_and_keys", "e0fde8389c4f72b0e8710a90b3706a8f4a4c3b278fdec7b02f1f9bc72659b1e8"),
    ("0007_audit", "86df20994ee31ae6607c02ce616dbe1ee50cb5ef61beefeb96c6785522157a6c"),
    ("0008_schema_files_behind", "e680f2714986ebf3ab80a950d7802f1afb4b725c24fe16b799342377b5c0a7b1"),
    ("0009_second_factors", "a3c1d4045e71ff17a43e09e2d0c1f3d9c2b31d728715e9fa4fb00250cd41a80b"),
    ("0010_users", "01bb0d47389fb4916e8ec67e0df7ec433f1f85191052792ce52151d89027451b"),
    ("0011_cookie_sessions", "f727b3fccf78c4ff45bdbc631f9bd860a3fcb3ed13fe713419be6594cee35b4c"),
    ("0012_guessing", "8705af36c8fdad8df0ff5da84da6a355eb4a606af5b605a6261f6a60c29e1a24"),
    ("0013_secrets", "ece1bd2d66fccde978025e0d7527af0c840ba8cd11fc7496be72eb2eebd8442c"),
    ("0014_invitations_and_impersonation", "e90a26e148f86811b2aa52ef58e8b9247e1122e33ac3254696b9bee734f2bffa"),
    ("0015_registered", "fadb517706fad2ba609188288214ad4cca951493d6f1f9301225566f97bc8fb6"),
    ("0016_inheritance_and_credits", "cbe2ade81f45f1715c008691b5db19e06a02a169aed8bad09b3588fe00817c05"),
    ("0017_mail_delivery", "0e3bf17522aa22c783062e8373aaea1d018776560c025c8ce3a593081745a49a"),
];

/// An edited migration would leave old and new servers with different tables under one number.
#[test]
fn a_released_migration_is_never_edited() {
    let found: Vec<_> = SYSTEM.iter().chain(TENANT).map(|it| (it.name, it.digest())).collect();
    let released: Vec<_> = RELEASED.iter().map(|(name, digest)| (*name, (*digest).to_owned())).collect();

    assert_eq!(found, released);
}
