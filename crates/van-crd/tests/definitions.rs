//! `k8s/crds` is what the types say; `VAN_WRITE_CRDS=1` writes it anew.

use std::path::Path;

use van_crd::{KINDS, crds};

#[test]
fn the_definitions_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../k8s/crds");
    let write = std::env::var_os("VAN_WRITE_CRDS").is_some();
    for (definition, (kind, plural)) in crds().iter().zip(KINDS) {
        assert_eq!(definition.spec.names.kind, kind);
        assert_eq!(definition.spec.names.plural, plural);
        // Through JSON, whose maps are sorted: the text is the same each time.
        let value = serde_json::to_value(definition).unwrap();
        let text = serde_saphyr::to_string(&value).unwrap();
        let path = folder.join(format!("{plural}.yaml"));
        if write {
            std::fs::write(&path, &text).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == text, "{} is old: run 'make crds'", path.display());
    }
}

#[test]
fn every_field_is_described() {
    for definition in crds() {
        for version in &definition.spec.versions {
            let schema = serde_json::to_value(version.schema.as_ref().unwrap()).unwrap();
            undescribed(&schema["openAPIV3Schema"], &definition.spec.names.kind);
        }
    }
}

/// Fails at the first field that `kubectl explain` could say nothing about.
fn undescribed(schema: &serde_json::Value, path: &str) {
    let Some(fields) = schema["properties"].as_object() else { return };
    for (name, field) in fields {
        let path = format!("{path}.{name}");
        // A field's type may speak for it.
        assert!(
            field["description"].is_string() || name == "spec" || name == "status",
            "{path} has no description"
        );
        undescribed(field, &path);
        undescribed(&field["items"], &path);
    }
}
