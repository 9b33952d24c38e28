//! Regular expressions of fields in the words of ECMA-262, which JSON Schema speaks.
//!
//! What is written is understood by the `u` flag and without it, and by what else reads schemas. What has no such form is
//! not translated: a pattern that says something else would be worse than none.
use regex_syntax::ast::parse::Parser;
use regex_syntax::ast::{
    AssertionKind, Ast, ClassAsciiKind, ClassBracketed, ClassPerl, ClassPerlKind, ClassSet, ClassSetItem, Group,
    GroupKind, Literal, RepetitionKind, RepetitionRange,
};

/// The same pattern; nothing if there is none.
pub(super) fn translated(pattern: &str) -> Option<String> {
    let ast = Parser::new().parse(pattern).ok()?;
    let mut out = String::with_capacity(pattern.len());
    write(&ast, &mut out)?;
    Some(out)
}

fn write(ast: &Ast, out: &mut String) -> Option<()> {
    match ast {
        Ast::Empty(_) => {}
        Ast::Literal(literal) => character(literal, false, out),
        // Without a flag, all but the end of a line, of which Rust knows one and ECMA-262 four.
        Ast::Dot(_) => out.push_str(r"[^\n]"),
        Ast::Assertion(it) => match it.kind {
            AssertionKind::StartLine | AssertionKind::StartText => out.push('^'),
            AssertionKind::EndLine | AssertionKind::EndText => out.push('$'),
            // The end of a word is another one where letters are ASCII alone.
            _ => return None,
        },
        Ast::ClassPerl(class) => perl(class, out),
        Ast::ClassBracketed(class) => bracketed(class, out)?,
        Ast::Repetition(it) => {
            if matches!(*it.ast, Ast::Assertion(_) | Ast::Empty(_) | Ast::Flags(_) | Ast::Repetition(_)) {
                return None;
            }
            write(&it.ast, out)?;
            match &it.op.kind {
                RepetitionKind::ZeroOrOne => out.push('?'),
                RepetitionKind::ZeroOrMore => out.push('*'),
                RepetitionKind::OneOrMore => out.push('+'),
                RepetitionKind::Range(RepetitionRange::Exactly(count)) => out.push_str(&format!("{{{count}}}")),
                RepetitionKind::Range(RepetitionRange::AtLeast(least)) => out.push_str(&format!("{{{least},}}")),
                RepetitionKind::Range(RepetitionRange::Bounded(least, most)) => {
                    out.push_str(&format!("{{{least},{most}}}"));
                }
            }
            if !it.greedy {
                out.push('?');
            }
        }
        Ast::Group(group) => return group_of(group, out),
        Ast::Alternation(it) => {
            for (index, part) in it.asts.iter().enumerate() {
                if 0 < index {
                    out.push('|');
                }
                write(part, out)?;
            }
        }
        Ast::Concat(it) => it.asts.iter().try_for_each(|part| write(part, out))?,
        // Flags have no place within a pattern, and classes of Unicode are not known everywhere.
        Ast::Flags(_) | Ast::ClassUnicode(_) => return None,
    }
    Some(())
}

fn group_of(group: &Group, out: &mut String) -> Option<()> {
    if let GroupKind::NonCapturing(flags) = &group.kind
        && !flags.items.is_empty()
    {
        return None;
    }
    // Nothing asks for what a group caught.
    out.push_str("(?:");
    write(&group.ast, out)?;
    out.push(')');
    Some(())
}

fn perl(class: &ClassPerl, out: &mut String) {
    let letter = match class.kind {
        ClassPerlKind::Digit => 'd',
        ClassPerlKind::Space => 's',
        ClassPerlKind::Word => 'w',
    };
    out.push('\\');
    out.push(if class.negated { letter.to_ascii_uppercase() } else { letter });
}

fn bracketed(class: &ClassBracketed, out: &mut String) -> Option<()> {
    out.push_str(if class.negated { "[^" } else { "[" });
    match &class.kind {
        ClassSet::Item(item) => member(item, out)?,
        ClassSet::BinaryOp(_) => return None,
    }
    out.push(']');
    Some(())
}

fn member(item: &ClassSetItem, out: &mut String) -> Option<()> {
    match item {
        ClassSetItem::Empty(_) => {}
        ClassSetItem::Literal(literal) => character(literal, true, out),
        ClassSetItem::Range(range) => {
            character(&range.start, true, out);
            out.push('-');
            character(&range.end, true, out);
        }
        ClassSetItem::Ascii(class) if !class.negated => out.push_str(ascii(&class.kind)?),
        ClassSetItem::Perl(class) => perl(class, out),
        ClassSetItem::Union(union) => union.items.iter().try_for_each(|it| member(it, out))?,
        ClassSetItem::Bracketed(inner) if !inner.negated => match &inner.kind {
            ClassSet::Item(item) => member(item, out)?,
            ClassSet::BinaryOp(_) => return None,
        },
        ClassSetItem::Ascii(_) | ClassSetItem::Bracketed(_) | ClassSetItem::Unicode(_) => return None,
    }
    Some(())
}

fn ascii(kind: &ClassAsciiKind) -> Option<&'static str> {
    Some(match kind {
        ClassAsciiKind::Alnum => "A-Za-z0-9",
        ClassAsciiKind::Alpha => "A-Za-z",
        ClassAsciiKind::Digit => "0-9",
        ClassAsciiKind::Lower => "a-z",
        ClassAsciiKind::Upper => "A-Z",
        ClassAsciiKind::Word => "A-Za-z0-9_",
        ClassAsciiKind::Xdigit => "A-Fa-f0-9",
        _ => return None,
    })
}

/// A character that stands for itself.
fn character(literal: &Literal, is_in_class: bool, out: &mut String) {
    let it = literal.c;
    let has_meaning = if is_in_class { r"\]^-[".contains(it) } else { r"^$\.*+?()[]{}|/".contains(it) };
    match it {
        '\n' => out.push_str(r"\n"),
        '\r' => out.push_str(r"\r"),
        '\t' => out.push_str(r"\t"),
        _ if it.is_ascii_control() => out.push_str(&format!(r"\x{:02x}", u32::from(it))),
        _ => {
            if has_meaning {
                out.push('\\');
            }
            out.push(it);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_translated_to_one_that_means_the_same() {
        for (pattern, expected) in [
            ("^[a-z]+$", "^[a-z]+$"),
            (r"\Aab\z", "^ab$"),
            ("a.b", r"a[^\n]b"),
            (r"(?P<year>\d{4})-(\d\d)?", r"(?:\d{4})-(?:\d\d)?"),
            (r"\-\!\#\ ", "-!# "),
            (r"\/\x41\u{e4}\t", "\\/A\u{e4}\\t"),
            (r"[\w.-]*?[^\]\s]", r"[\w.\-]*?[^\]\s]"),
            ("[[:alpha:][0-9]]{2,}", "[A-Za-z0-9]{2,}"),
            ("a|b|", "a|b|"),
            ("😀{1,2}", "😀{1,2}"),
        ] {
            assert_eq!(translated(pattern).as_deref(), Some(expected), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_that_has_no_such_form_is_left_out() {
        for pattern in ["(?i)^a", "(?i:a)b", r"\bword\b", "(?s).", "[a-z&&[^aeiou]]", "[^[:alpha:][^a]]", "^*", "("] {
            assert_eq!(translated(pattern), None, "{pattern}");
        }
    }
}
