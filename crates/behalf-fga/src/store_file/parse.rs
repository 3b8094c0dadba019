//! Reads a store file's YAML. Each object's keys are checked before its values, so that errors
//! come in the order in which a JSON schema validator gives them.

use serde_json::{Map, Value as Json};

use super::{
    Assertion, CheckTest, ListObjectsTest, ListUsersTest, ModelSource, PlacedTuple, StoreFile,
    StoreFileError, StoreFileErrors, StoreTest, TupleSource, is_valid_object_id,
};
use crate::tuple::{TupleCondition, TupleKey};
use crate::yaml::{self, Entry, Node, Region};

pub(super) fn parse(text: &str) -> Result<StoreFile, StoreFileErrors> {
    let root = yaml::parse(text).map_err(|error| StoreFileErrors {
        errors: vec![StoreFileError {
            message: error.message,
            keyword: "syntax",
            path: String::new(),
            file: None,
            region: error.region,
        }],
    })?;
    let mut reader = Reader::default();
    let file = reader.store(&root);
    match file {
        Some(file) if reader.errors.is_empty() => {
            Ok(StoreFile { warnings: reader.warnings, ..file })
        }
        _ => Err(StoreFileErrors { errors: reader.errors }),
    }
}

/// Reads tuples from a file of YAML or JSON, which is YAML.
pub(super) fn parse_tuple_list(text: &str) -> Result<Vec<PlacedTuple>, StoreFileErrors> {
    let root = yaml::parse(text).map_err(|error| StoreFileErrors {
        errors: vec![StoreFileError {
            message: error.message,
            keyword: "syntax",
            path: String::new(),
            file: None,
            region: error.region,
        }],
    })?;
    let mut reader = Reader::default();
    let tuples = reader.tuples(&root, String::new());
    if reader.errors.is_empty() {
        Ok(tuples)
    } else {
        Err(StoreFileErrors { errors: reader.errors })
    }
}

/// A map of the file, and where it is.
#[derive(Clone)]
struct Object<'a> {
    entries: &'a [Entry],
    path: String,
    region: Region,
}

impl<'a> Object<'a> {
    fn get(&self, name: &str) -> Option<&'a Node> {
        let entry = self.entries.iter().find(|entry| entry.key == name)?;
        (!entry.value.is_null()).then_some(&entry.value)
    }

    fn path_of(&self, name: &str) -> String {
        format!("{}/{}", self.path, name.replace('~', "~0").replace('/', "~1"))
    }
}

#[derive(Default)]
struct Reader {
    errors: Vec<StoreFileError>,
    warnings: Vec<StoreFileError>,
}

impl Reader {
    fn fail(&mut self, keyword: &'static str, path: String, region: Region, message: String) {
        self.errors.push(StoreFileError { message, keyword, path, file: None, region });
    }

    fn store(&mut self, root: &Node) -> Option<StoreFile> {
        let object = self.object(
            root,
            String::new(),
            &["name", "model", "model_file", "tuples", "tuple_file", "tuple_files", "tests"],
        )?;
        let name = self.optional_text(&object, "name");
        let model = self.model(&object);
        let tuples = self.tuple_source(&object);
        let tests = self.each(&object, "tests", Self::test);
        Some(StoreFile { name, model: model?, tuples, tests, warnings: Vec::new() })
    }

    fn model(&mut self, object: &Object<'_>) -> Option<ModelSource> {
        let mut source = None;
        for (name, kind) in [
            ("model_file", ModelSource::File as fn(_, _) -> _),
            ("model", ModelSource::Inline as fn(_, _) -> _),
        ] {
            if let Some(node) = object.get(name)
                && let Some(text) = self.text(node, object.path_of(name))
            {
                source = Some(kind(text, node.region.start));
            }
        }
        let is_given = |name: &&str| object.get(name).is_some();
        if !["model", "model_file"].iter().any(is_given) {
            let message = "`model` or `model_file` must be given".to_owned();
            self.fail("valid_store", object.path.clone(), object.region, message);
        }
        source
    }

    fn test(&mut self, node: &Node, path: String) -> Option<StoreTest> {
        const KEYS: [&str; 8] = [
            "name",
            "description",
            "tuples",
            "tuple_file",
            "tuple_files",
            "check",
            "list_objects",
            "list_users",
        ];
        let object = self.object(node, path, &KEYS)?;
        Some(StoreTest {
            name: self.optional_text(&object, "name"),
            description: self.optional_text(&object, "description"),
            tuples: self.tuple_source(&object),
            check: self.each(&object, "check", Self::check),
            list_objects: self.each(&object, "list_objects", Self::list_objects),
            list_users: self.each(&object, "list_users", Self::list_users),
        })
    }

    fn check(&mut self, node: &Node, path: String) -> Option<CheckTest> {
        let keys = ["user", "users", "object", "objects", "context", "assertions"];
        let object = self.object(node, path, &keys)?;
        let users = self.one_or_more(&object, "user", "users");
        let objects = self.one_or_more(&object, "object", "objects");
        let context = self.context(&object);
        let assertions = self.assertions(&object, |reader, node, path| {
            let expected = node.as_bool();
            if expected.is_none() {
                reader.wrong_type(node, path, "true or false");
            }
            expected
        });
        Some(CheckTest { users: users?, objects: objects?, context, assertions })
    }

    fn list_objects(&mut self, node: &Node, path: String) -> Option<ListObjectsTest> {
        let object = self.object(node, path, &["user", "type", "context", "assertions"])?;
        let user = self.required_text(&object, "user");
        let object_type = self.required_text(&object, "type");
        let context = self.context(&object);
        let assertions = self.assertions(&object, Self::texts);
        Some(ListObjectsTest { user: user?, object_type: object_type?, context, assertions })
    }

    fn list_users(&mut self, node: &Node, path: String) -> Option<ListUsersTest> {
        let object =
            self.object(node, path, &["object", "user_filter", "context", "assertions"])?;
        let of = self.required_text(&object, "object");
        let filters = self.each(&object, "user_filter", |reader, node, path| {
            let object = reader.object(node, path, &["type", "relation"])?;
            let type_name = reader.required_text(&object, "type")?;
            let relation = Some(reader.optional_text(&object, "relation"));
            Some((type_name, relation.filter(|relation| !relation.is_empty())))
        });
        // OpenFGA takes exactly one, and its command line looks at the first only.
        if filters.len() != 1 && self.errors.is_empty() {
            let region = object.get("user_filter").map_or(object.region, |node| node.region);
            let path = object.path_of("user_filter");
            self.fail("maxItems", path, region, "`user_filter` must have one entry".to_owned());
        }
        let context = self.context(&object);
        let assertions = self.assertions(&object, |reader, node, path| {
            let object = reader.object(node, path, &["users"])?;
            match object.get("users") {
                Some(node) => reader.texts(node, object.path_of("users")),
                None => Some(Vec::new()),
            }
        });
        let user_filter = filters.into_iter().next()?;
        Some(ListUsersTest { object: of?, user_filter, context, assertions })
    }

    fn tuple_source(&mut self, object: &Object<'_>) -> TupleSource {
        let inline = match object.get("tuples") {
            Some(node) => self.tuples(node, object.path_of("tuples")),
            None => Vec::new(),
        };
        let mut files = Vec::new();
        if let Some(node) = object.get("tuple_file")
            && let Some(file) = self.text(node, object.path_of("tuple_file"))
        {
            files.push((file, node.region.start));
        }
        files.extend(self.each(object, "tuple_files", |reader, node, path| {
            Some((reader.text(node, path)?, node.region.start))
        }));
        TupleSource { inline, files }
    }

    fn tuples(&mut self, node: &Node, path: String) -> Vec<PlacedTuple> {
        let Some(items) = node.as_list() else {
            self.wrong_type(node, path, "a list of tuples");
            return Vec::new();
        };
        let mut tuples = Vec::with_capacity(items.len());
        for (number, item) in items.iter().enumerate() {
            tuples.extend(self.tuple(item, format!("{path}/{number}")));
        }
        tuples
    }

    fn tuple(&mut self, node: &Node, path: String) -> Option<PlacedTuple> {
        let object = self.object(node, path, &["user", "relation", "object", "condition"])?;
        let user = self.required_text(&object, "user");
        let relation = self.required_text(&object, "relation");
        let of = self.required_text(&object, "object");
        let condition = match object.get("condition") {
            Some(node) => {
                let condition =
                    self.object(node, object.path_of("condition"), &["name", "context"])?;
                let name = self.required_text(&condition, "name")?;
                Some(TupleCondition { name, context: self.context(&condition) })
            }
            None => None,
        };
        let (user, relation, of) = (user?, relation?, of?);
        for (name, text) in [("user", &user), ("object", &of)] {
            self.look_at_id(&object, name, text);
        }
        Some(PlacedTuple {
            tuple: TupleKey { user, relation, object: of, condition, ..TupleKey::default() },
            file: None,
            place: object.region.start,
        })
    }

    /// Warns of an id that OpenFGA's editors refuse.
    fn look_at_id(&mut self, object: &Object<'_>, name: &str, text: &str) {
        let Some((_, id)) = text.split_once(':') else { return };
        let id = id.split_once('#').map_or(id, |(id, _)| id);
        if id == "*" || is_valid_object_id(id) {
            return;
        }
        let region = object.get(name).map_or(object.region, |node| node.region);
        self.warnings.push(StoreFileError {
            message: format!("the id `{id}` is refused by OpenFGA's editors"),
            keyword: "format",
            path: object.path_of(name),
            file: None,
            region,
        });
    }

    fn object<'a>(&mut self, node: &'a Node, path: String, keys: &[&str]) -> Option<Object<'a>> {
        let Some(entries) = node.as_map() else {
            self.wrong_type(node, path, "a map");
            return None;
        };
        for entry in entries.iter().filter(|entry| !keys.contains(&entry.key.as_str())) {
            let message =
                format!("unknown key `{}`; expected one of {}", entry.key, keys.join(", "));
            self.fail("additionalProperties", path.clone(), entry.key_region, message);
        }
        Some(Object { entries, path, region: node.region })
    }

    fn each<T>(
        &mut self,
        object: &Object<'_>,
        name: &str,
        mut read: impl FnMut(&mut Self, &Node, String) -> Option<T>,
    ) -> Vec<T> {
        let Some(node) = object.get(name) else { return Vec::new() };
        let path = object.path_of(name);
        let Some(items) = node.as_list() else {
            self.wrong_type(node, path, "a list");
            return Vec::new();
        };
        let items = items.iter().enumerate();
        items.filter_map(|(number, item)| read(self, item, format!("{path}/{number}"))).collect()
    }

    fn assertions<T>(
        &mut self,
        object: &Object<'_>,
        mut read: impl FnMut(&mut Self, &Node, String) -> Option<T>,
    ) -> Vec<Assertion<T>> {
        let Some(node) = object.get("assertions") else {
            self.missing(object, "assertions");
            return Vec::new();
        };
        let path = object.path_of("assertions");
        let Some(entries) = node.as_map() else {
            self.wrong_type(node, path, "a map from relations to what is expected");
            return Vec::new();
        };
        entries
            .iter()
            .filter_map(|entry| {
                let expected = read(self, &entry.value, format!("{path}/{}", entry.key))?;
                let (relation, place) = (entry.key.clone(), entry.key_region.start);
                Some(Assertion { relation, expected, place })
            })
            .collect()
    }

    fn context(&mut self, object: &Object<'_>) -> Map<String, Json> {
        let Some(node) = object.get("context") else { return Map::new() };
        match node.to_json() {
            Json::Object(context) => context,
            _ => {
                self.wrong_type(node, object.path_of("context"), "a map");
                Map::new()
            }
        }
    }

    fn one_or_more(&mut self, object: &Object<'_>, one: &str, more: &str) -> Option<Vec<String>> {
        match (object.get(one), object.get(more)) {
            (Some(_), Some(node)) => {
                let message = format!("give `{one}` or `{more}`, not both");
                self.fail("oneOf", object.path.clone(), node.region, message);
                None
            }
            (Some(node), None) => Some(vec![self.text(node, object.path_of(one))?]),
            (None, Some(node)) => self.texts(node, object.path_of(more)),
            (None, None) => {
                self.missing(object, one);
                None
            }
        }
    }

    fn texts(&mut self, node: &Node, path: String) -> Option<Vec<String>> {
        // Nothing after the colon is the empty list.
        if node.is_null() {
            return Some(Vec::new());
        }
        let Some(items) = node.as_list() else {
            self.wrong_type(node, path, "a list of texts");
            return None;
        };
        let items = items.iter().enumerate();
        Some(
            items
                .filter_map(|(number, item)| self.text(item, format!("{path}/{number}")))
                .collect(),
        )
    }

    fn required_text(&mut self, object: &Object<'_>, name: &str) -> Option<String> {
        match object.get(name) {
            Some(node) => self.text(node, object.path_of(name)),
            None => {
                self.missing(object, name);
                None
            }
        }
    }

    fn optional_text(&mut self, object: &Object<'_>, name: &str) -> String {
        let node = object.get(name);
        node.and_then(|node| self.text(node, object.path_of(name))).unwrap_or_default()
    }

    fn text(&mut self, node: &Node, path: String) -> Option<String> {
        let text = node.as_text();
        if text.is_none() {
            self.wrong_type(node, path, "a text");
        }
        text.map(ToOwned::to_owned)
    }

    fn missing(&mut self, object: &Object<'_>, name: &str) {
        let message = format!("`{name}` is missing");
        self.fail("required", object.path.clone(), object.region, message);
    }

    fn wrong_type(&mut self, node: &Node, path: String, expected: &str) {
        let message = format!("expected {expected}, but found {}", node.shown());
        self.fail("type", path, node.region, message);
    }
}
