//! What a type takes, worked out once from its own OpenAPI schema.
use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use regex::Regex;
use serde_json::Value;

/// A schema and all that it refers to; types that hold themselves refer to themselves.
pub(super) struct Shapes {
    pub(super) shapes: Vec<Shape>,
    pub(super) root: usize,
}

pub(super) struct Shape {
    pub(super) nullable: bool,
    /// The only values allowed, if there are any here.
    pub(super) allowed: Vec<Value>,
    pub(super) format: Option<&'static str>,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Any,
    /// Another shape under a description of its own.
    Same(usize),
    Boolean,
    Integer(Range),
    Number(Range),
    Text {
        min: usize,
        max: usize,
        pattern: Option<Regex>,
    },
    Array {
        items: Option<usize>,
        min: usize,
        max: usize,
        unique: bool,
    },
    Object {
        members: HashMap<&'static str, Member>,
        /// In the order of the schema, in which a person reads them.
        required: Vec<&'static str>,
        others: Option<usize>,
        min: usize,
        max: usize,
    },
    OneOf {
        variants: Vec<usize>,
        told_by: Option<ToldBy>,
    },
}

#[derive(Default)]
pub(super) struct Range {
    pub(super) least: Option<f64>,
    pub(super) above: Option<f64>,
    pub(super) most: Option<f64>,
    pub(super) below: Option<f64>,
    pub(super) multiple_of: Option<f64>,
}

pub(super) struct Member {
    pub(super) shape: usize,
    pub(super) required: bool,
    pub(super) read_only: bool,
}

/// The member whose value tells which variant it is.
pub(super) struct ToldBy {
    pub(super) name: &'static str,
    pub(super) variants: HashMap<String, usize>,
}

/// The shapes of `T`, worked out at the first request for it.
pub(super) fn of<T: Type + 'static>() -> Arc<Shapes> {
    static KNOWN: OnceLock<RwLock<HashMap<TypeId, Arc<Shapes>>>> = OnceLock::new();

    let known = KNOWN.get_or_init(RwLock::default);
    if let Some(shapes) = known.read().unwrap_or_else(PoisonError::into_inner).get(&TypeId::of::<T>()) {
        return shapes.clone();
    }
    let mut registry = Registry::new();
    T::register(&mut registry);
    let shapes = Arc::new(Builder::build(&registry, &T::schema_ref()));
    known.write().unwrap_or_else(PoisonError::into_inner).insert(TypeId::of::<T>(), shapes.clone());
    shapes
}

struct Builder<'a> {
    registry: &'a Registry,
    named: HashMap<String, usize>,
    shapes: Vec<Shape>,
}

impl<'a> Builder<'a> {
    fn build(registry: &'a Registry, root: &MetaSchemaRef) -> Shapes {
        let mut builder = Self { registry, named: HashMap::new(), shapes: Vec::new() };
        let root = builder.add(root);
        Shapes { shapes: builder.shapes, root }
    }

    fn add(&mut self, schema: &MetaSchemaRef) -> usize {
        match schema {
            MetaSchemaRef::Inline(schema) => {
                let place = self.reserve();
                self.fill(place, schema);
                place
            }
            MetaSchemaRef::Reference(name) => {
                if let Some(place) = self.named.get(name) {
                    return *place;
                }
                let place = self.reserve();
                self.named.insert(name.clone(), place);
                if let Some(schema) = self.registry.schemas.get(name) {
                    self.fill(place, schema);
                }
                place
            }
        }
    }

    fn reserve(&mut self) -> usize {
        self.shapes.push(Shape { nullable: false, allowed: Vec::new(), format: None, kind: Kind::Any });
        self.shapes.len() - 1
    }

    fn fill(&mut self, place: usize, schema: &MetaSchema) {
        let kind = match schema.all_of.as_slice() {
            [] => self.kind(schema),
            // A referred type with a comment at the place where it is used.
            [reference @ MetaSchemaRef::Reference(_), MetaSchemaRef::Inline(comment)]
                if comment.ty.is_empty() && comment.properties.is_empty() =>
            {
                Kind::Same(self.add(reference))
            }
            parts => {
                let whole = self.merged(parts);
                self.kind(&whole)
            }
        };
        self.shapes[place] =
            Shape { nullable: schema.nullable, allowed: schema.enum_items.clone(), format: schema.format, kind };
    }

    fn merged(&self, parts: &[MetaSchemaRef]) -> MetaSchema {
        let mut whole = MetaSchema::new("object");
        for part in parts {
            let part = match part {
                MetaSchemaRef::Inline(part) => Some(&**part),
                MetaSchemaRef::Reference(name) => self.registry.schemas.get(name),
            };
            if let Some(part) = part.cloned() {
                whole.properties.extend(part.properties.iter().cloned());
                whole.required.extend(part.required.iter().copied());
                whole = whole.merge(part);
            }
        }
        whole
    }

    fn kind(&mut self, schema: &MetaSchema) -> Kind {
        if !schema.one_of.is_empty() || !schema.any_of.is_empty() {
            let variants: Vec<_> = schema.one_of.iter().chain(&schema.any_of).map(|it| self.add(it)).collect();
            let told_by = schema.discriminator.as_ref().map(|it| ToldBy {
                name: it.property_name,
                variants: it
                    .mapping
                    .iter()
                    .filter_map(|(value, path)| {
                        let name = path.rsplit('/').next().unwrap_or(path);
                        Some((value.clone(), *self.named.get(name)?))
                    })
                    .collect(),
            });
            return Kind::OneOf { variants, told_by };
        }
        match schema.ty {
            "boolean" => Kind::Boolean,
            "integer" => Kind::Integer(range(schema)),
            "number" => Kind::Number(range(schema)),
            "string" => Kind::Text {
                min: schema.min_length.unwrap_or(0),
                max: schema.max_length.unwrap_or(usize::MAX),
                // The derive has compiled it too, so it is known to be a pattern.
                pattern: schema.pattern.as_deref().and_then(|it| Regex::new(it).ok()),
            },
            "array" => Kind::Array {
                items: schema.items.as_ref().map(|it| self.add(it)),
                // The derive says the length of a fixed array in these two.
                min: schema.min_items.or(schema.min_length).unwrap_or(0),
                max: schema.max_items.or(schema.max_length).unwrap_or(usize::MAX),
                unique: schema.unique_items.unwrap_or(false),
            },
            "object" => {
                let members: HashMap<_, _> =
                    schema.properties.iter().map(|(name, it)| (*name, self.member(schema, name, it))).collect();
                let is_required = |it: &&str| members.get(it).is_some_and(|member| member.required);
                Kind::Object {
                    required: schema.required.iter().copied().filter(is_required).collect(),
                    members,
                    others: schema.additional_properties.as_ref().map(|it| self.add(it)),
                    min: schema.min_properties.unwrap_or(0),
                    max: schema.max_properties.unwrap_or(usize::MAX),
                }
            }
            _ => Kind::Any,
        }
    }

    fn member(&mut self, object: &MetaSchema, name: &str, schema: &MetaSchemaRef) -> Member {
        let read_only = matches!(schema, MetaSchemaRef::Inline(schema) if schema.read_only);
        Member { shape: self.add(schema), required: object.required.contains(&name) && !read_only, read_only }
    }
}

fn range(schema: &MetaSchema) -> Range {
    let (least, above) = match schema.exclusive_minimum {
        Some(true) => (None, schema.minimum),
        _ => (schema.minimum, None),
    };
    let (most, below) = match schema.exclusive_maximum {
        Some(true) => (None, schema.maximum),
        _ => (schema.maximum, None),
    };
    Range { least, above, most, below, multiple_of: schema.multiple_of }
}
