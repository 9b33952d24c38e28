//! What can be done that leaves an entry: one table, with a sentence for each.

macro_rules! actions {
    ($($action:ident $name:literal $sentence:literal,)*) => {
        /// What was done, or tried.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Action {
            $(#[doc = $sentence] $action,)*
        }

        impl Action {
            /// All of them, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$action,)*];

            /// What it is called. A name never changes its meaning: it is in trails of years ago.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$action => $name,)*
                }
            }

            /// What it means, for people.
            pub const fn sentence(self) -> &'static str {
                match self {
                    $(Self::$action => $sentence,)*
                }
            }
        }
    };
}

actions! {
    Register "auth.register" "Someone made an account for themselves.",
    SignIn "auth.sign-in" "Someone signed in, or tried to.",
    SignOut "auth.sign-out" "Someone ended one of their sessions.",
    SignOutEverywhere "auth.sign-out-everywhere" "Someone ended all of their sessions.",
    TokenReused "auth.token-reused" "A refresh token was used again, and its session was ended.",
    EmailVerify "auth.verify-email" "Someone showed that their address is theirs.",
    EmailChange "auth.change-email" "Someone's account has another address, which they showed to be theirs.",
    PasswordReset "auth.reset-password" "Someone chose a new password by a mail, and all devices were signed out.",
    PasswordChange "auth.change-password" "Someone changed their password, and all other devices were signed out.",
    SecondFactorOn "second-factor.turn-on" "Someone's sign-in needs a code of an app from now on.",
    SecondFactorOff "second-factor.turn-off" "Someone's sign-in needs no code of an app any more.",
    RecoveryCodesRenew "second-factor.renew-codes" "Someone has other recovery codes.",
    Confirm "auth.confirm" "Someone who was to show who they are showed a wrong password or code.",
    AccessRefuse "access.refuse" "Someone tried what they may not.",
    ProfileChange "profile.change" "Someone changed their own profile.",
    UserCreate "users.create" "Someone made an account for somebody.",
    UsersImport "users.import" "Accounts were imported from a file.",
    AccountEmptied "users.empty" "Whoever showed that an address is theirs has its account to themselves: all ways in from before are closed.",
    UserChange "users.change" "Someone's account was changed, disabled, or given another role.",
    UserDelete "users.delete" "An account was put into the bin, by its owner or by somebody else, and all its sessions ended.",
    UserRestore "users.restore" "An account was taken out of the bin.",
    UserPurge "users.purge" "An account was removed for good, with what was its owner's.",
    Impersonate "users.impersonate" "Someone began to act as somebody else; the reason stands in the entry.",
    InvitationCreate "invitations.create" "Someone was invited to make themselves an account.",
    InvitationResend "invitations.resend" "An invitation was sent again.",
    InvitationDelete "invitations.delete" "An invitation was taken back.",
    InvitationAccept "invitations.accept" "Someone who was invited made themselves an account.",
    ProfileFieldsChange "profile-fields.change" "Profiles have other fields, and the values of those that they have no more are gone.",
    RoleCreate "roles.create" "A role was made.",
    RoleChange "roles.change" "A role was changed.",
    RoleDelete "roles.delete" "A role was dropped.",
    ApiKeyCreate "api-keys.create" "An API key was made.",
    ApiKeyChange "api-keys.change" "An API key was changed, disabled, or lets a program try something else.",
    ApiKeyRotate "api-keys.rotate" "An API key got another secret.",
    ApiKeyRevoke "api-keys.revoke" "An API key was revoked.",
    PasswordCostMeasure "passwords.calibrate" "What checking a password may cost was measured on this machine.",
    AddressBlock "addresses.block" "An address from which many passwords were tried signs nobody in for a while.",
    AddressLift "addresses.lift" "An address that was blocked signs people in again.",
    SecretSet "secrets.set" "Someone keeps a secret of theirs, or another one in its place.",
    SecretReveal "secrets.reveal" "Someone had a secret of theirs shown.",
    SecretDelete "secrets.delete" "Someone removed a secret of theirs.",
    SecretKeyRotate "secrets.rotate-key" "Secrets are encrypted with another master key from now on.",
    SigningKeyRotate "signing-keys.rotate" "Another key signs access tokens; if `revoked`, none signed before count.",
    SetupLinkCreate "setup-links.create" "A link was made with which whoever opens it becomes an admin.",
    SetupLinkUse "setup-links.use" "Someone became an admin by a setup link.",
    MailWordsChange "mail.change-words" "The words of a mail were changed, or are the built-in ones again.",
    MailBrandChange "mail.change-brand" "The looks of mails were changed.",
    MailSuppress "mail.suppress" "Nothing is sent to an address any more, for a reason that stands in the entry.",
    MailUnsuppress "mail.unsuppress" "Mails are sent to an address again.",
    MailboxDelete "mailbox.delete" "Mails were removed from the mailbox.",
    JobRetry "jobs.retry" "A job was begun again.",
    JobCancel "jobs.cancel" "A job was cancelled.",
    CollectionCreate "collections.create" "A collection was made.",
    CollectionChange "collections.change" "A collection was changed or renamed.",
    CollectionDrop "collections.drop" "A collection was dropped, with its records.",
    RecordsTruncate "records.truncate" "Records of a collection were deleted, all that there were.",
    RecordsImport "records.import" "Records were imported from a file.",
    RecordsExport "records.export" "Records were exported by someone for whom the rules do not count.",
    RecordsBulkChange "records.bulk-change" "Records that a filter selected were changed.",
    RecordsBulkDelete "records.bulk-delete" "Records that a filter selected were deleted.",
    RecordPurge "records.purge" "A record was deleted for good, or records whose time in the bin was over.",
    RecordRestore "records.restore" "A record was taken out of the bin.",
    RecordCreate "records.create" "A record was made in a collection with `audit`.",
    RecordChange "records.change" "A record was changed in a collection with `audit`.",
    RecordDelete "records.delete" "A record was deleted in a collection with `audit`.",
    AuditExport "audit.export" "Someone exported the audit trail.",
}

impl Action {
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|it| it.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_action_has_a_name_of_its_own() {
        for action in Action::ALL {
            assert_eq!(Action::named(action.name()), Some(*action));
            let (area, deed) = action.name().split_once('.').expect("an area and a deed");
            let is_word = |it: &str| it.bytes().all(|it| it.is_ascii_lowercase() || it == b'-') && !it.is_empty();
            assert!(is_word(area) && is_word(deed) && action.sentence().ends_with('.'), "{action:?}");
        }
    }
}
