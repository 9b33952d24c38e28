//! What a change of a view comes to. It has no table, so there is nothing to do but to say so.
use super::model::{Collection, Field};
use super::plan::{self, Step};

pub(super) fn create(new: &Collection) -> Vec<Step> {
    vec![Step::note(format!("make the view `{}` with {}", new.name, plan::fields_of(new)))]
}

pub(super) fn drop(old: &Collection) -> Vec<Step> {
    vec![Step::note(format!("drop the view `{}`", old.name))]
}

pub(super) fn change(old: &Collection, new: &Collection) -> Vec<Step> {
    let mut said = Vec::new();
    if old.view != new.view {
        said.push("change the query".to_owned());
    }
    let is_among = |field: &Field, fields: &[Field]| fields.iter().any(|it| it.name == field.name);
    said.extend(
        old.fields.iter().filter(|it| !is_among(it, &new.fields)).map(|it| format!("show `{}` no more", it.name)),
    );
    for field in new.fields.iter().filter(|it| !old.fields.contains(it)) {
        let how = if is_among(field, &old.fields) { "change how `{}` is shown" } else { "show `{}`" };
        said.push(how.replace("{}", &field.name));
    }
    let mut steps: Vec<_> = said.into_iter().map(Step::note).collect();
    steps.extend(plan::rules(old, new));
    if old.name != new.name {
        steps.push(Step::note(format!("rename the view `{}` to `{}`", old.name, new.name)));
    }
    steps
}
