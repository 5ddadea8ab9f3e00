//! The JSON Schema of JSON output, made from the table of fields.

use super::field::{self, Kind, Spec, Type};
use super::object::string;
use crate::model::TcpInfo;

/// Appends the schema (draft 2020-12) of one line of `--json` output.
pub fn schema(out: &mut Vec<u8>) {
    out.extend_from_slice(
        b"{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": \"A line of enetstat --json\",\n  \
          \"description\": \"Unknown values are left out: there is no null, and 0 means 0. \
          64-bit integers are strings.\",\n  \"oneOf\": [",
    );
    for (at, kind) in Kind::ALL.into_iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"\n    " } else { b",\n    " });
        out.extend_from_slice(b"{ \"$ref\": ");
        string(out, format!("#/$defs/{}", kind.name()).as_bytes());
        out.extend_from_slice(b" }");
    }
    out.extend_from_slice(b"\n  ],\n  \"$defs\": {");
    for (at, kind) in Kind::ALL.into_iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"\n" } else { b",\n" });
        definition(out, kind);
    }
    out.extend_from_slice(b"\n  }\n}\n");
}

fn definition(out: &mut Vec<u8>, kind: Kind) {
    out.extend_from_slice(b"    ");
    string(out, kind.name().as_bytes());
    out.extend_from_slice(b": {\n      \"description\": ");
    string(out, kind.meaning().as_bytes());
    out.extend_from_slice(
        b",\n      \"type\": \"object\",\n      \"additionalProperties\": false,\n      \"required\": [",
    );
    let required = field::all().filter(|spec| spec.always & kind as u32 != 0);
    for (at, spec) in required.enumerate() {
        if at > 0 {
            out.extend_from_slice(b", ");
        }
        string(out, spec.name.as_bytes());
    }
    out.extend_from_slice(b"],\n      \"properties\": {");
    let fields = field::all().filter(|spec| spec.within & kind as u32 != 0);
    for (at, spec) in fields.enumerate() {
        out.extend_from_slice(if at == 0 { b"\n        " } else { b",\n        " });
        property(out, kind, spec);
    }
    out.extend_from_slice(b"\n      }\n    }");
}

fn property(out: &mut Vec<u8>, kind: Kind, spec: &Spec) {
    string(out, spec.name.as_bytes());
    out.extend_from_slice(b": { ");
    if spec.name == "enetstat.kind" {
        out.extend_from_slice(b"\"const\": ");
        string(out, kind.name().as_bytes());
    } else {
        kind_of_value(out, spec.kind);
    }
    out.extend_from_slice(b", \"description\": ");
    string(out, spec.meaning.as_bytes());
    out.extend_from_slice(b" }");
}

fn kind_of_value(out: &mut Vec<u8>, kind: Type) {
    let fixed: &[u8] = match kind {
        Type::Text => b"\"type\": \"string\"",
        Type::Texts => b"\"type\": \"array\", \"items\": { \"type\": \"string\" }",
        Type::Time => {
            b"\"type\": \"string\", \"format\": \"date-time\", \
              \"pattern\": \"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{9}Z$\""
        }
        Type::Integer => b"\"type\": \"integer\", \"minimum\": 0",
        Type::Integer64 => b"\"type\": \"string\", \"pattern\": \"^(0|[1-9][0-9]{0,19})$\"",
        Type::Signed => b"\"type\": \"string\", \"pattern\": \"^(0|-?[1-9][0-9]{0,19})$\"",
        Type::Hex => b"\"type\": \"string\", \"pattern\": \"^([0-9a-f]{2})+$\"",
        Type::True => b"\"const\": true",
        Type::Bool => b"\"type\": \"boolean\"",
        Type::Holders => {
            b"\"type\": \"array\", \"items\": { \"type\": \"object\", \"additionalProperties\": false, \
              \"required\": [\"process.pid\"], \"properties\": { \
              \"process.pid\": { \"type\": \"integer\", \"minimum\": 1 }, \
              \"process.vpid\": { \"type\": \"integer\", \"minimum\": 1 }, \
              \"enetstat.process.fd\": { \"type\": \"integer\", \"minimum\": 0 }, \
              \"process.command_line\": { \"type\": \"string\" }, \
              \"enetstat.process.command_line_hex\": { \"type\": \"string\", \"pattern\": \"^([0-9a-f]{2})+$\" }, \
              \"process.executable.path\": { \"type\": \"string\" }, \
              \"enetstat.process.executable.path_hex\": { \"type\": \"string\", \"pattern\": \"^([0-9a-f]{2})+$\" }, \
              \"process.real_user.id\": { \"type\": \"integer\", \"minimum\": 0 }, \
              \"process.real_user.name\": { \"type\": \"string\" }, \
              \"enetstat.process.comm\": { \"type\": \"string\" }, \
              \"enetstat.process.comm_hex\": { \"type\": \"string\", \"pattern\": \"^([0-9a-f]{2})+$\" } } }"
        }
        Type::Hops => {
            b"\"type\": \"array\", \"minItems\": 1, \"items\": { \"type\": \"object\", \"additionalProperties\": false, \
              \"required\": [\"weight\", \"flags\"], \"properties\": { \
              \"gateway\": { \"type\": \"string\" }, \
              \"interface.index\": { \"type\": \"integer\", \"minimum\": 1 }, \
              \"interface.name\": { \"type\": \"string\" }, \
              \"weight\": { \"type\": \"integer\", \"minimum\": 1 }, \
              \"flags\": { \"type\": \"array\", \"items\": { \"enum\": [\"dead\", \"pervasive\", \"onlink\", \"offload\", \
              \"linkdown\", \"unresolved\", \"trap\"] } } } }"
        }
        Type::Addresses => {
            b"\"type\": \"array\", \"items\": { \"type\": \"object\", \"additionalProperties\": false, \
              \"required\": [\"address\", \"prefix\"], \"properties\": { \
              \"address\": { \"type\": \"string\" }, \
              \"prefix\": { \"type\": \"integer\", \"minimum\": 0, \"maximum\": 128 }, \
              \"peer\": { \"type\": \"string\" }, \"broadcast\": { \"type\": \"string\" }, \
              \"label\": { \"type\": \"string\" }, \"scope\": { \"type\": \"string\" } } }"
        }
        Type::Integers => b"\"type\": \"array\", \"items\": { \"type\": \"integer\", \"minimum\": 0 }",
        Type::Pairs => {
            b"\"type\": \"array\", \"items\": { \"type\": \"array\", \"minItems\": 2, \"maxItems\": 2, \
              \"items\": { \"type\": \"integer\", \"minimum\": 0 } }"
        }
        Type::TcpInfo => return members(out, TcpInfo::MEMBERS.iter().map(|member| (member.name, member.is_wide()))),
        Type::Numbers(names) => return members(out, names.iter().map(|name| (*name, *name == "bandwidth"))),
        Type::Words(words) => {
            out.extend_from_slice(b"\"type\": \"array\", \"items\": { ");
            one_of(out, words);
            return out.extend_from_slice(b" }");
        }
        Type::OneOf(values) => return one_of(out, values),
    };
    out.extend_from_slice(fixed);
}

fn members<'a>(out: &mut Vec<u8>, members: impl Iterator<Item = (&'a str, bool)>) {
    out.extend_from_slice(b"\"type\": \"object\", \"additionalProperties\": false, \"properties\": {");
    for (at, (name, wide)) in members.enumerate() {
        out.extend_from_slice(if at > 0 { b", " } else { b" " });
        string(out, name.as_bytes());
        out.extend_from_slice(b": { ");
        kind_of_value(out, if wide { Type::Integer64 } else { Type::Integer });
        out.extend_from_slice(b" }");
    }
    out.extend_from_slice(b" }");
}

fn one_of(out: &mut Vec<u8>, values: &[&str]) {
    out.extend_from_slice(b"\"enum\": [");
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            out.extend_from_slice(b", ");
        }
        string(out, value.as_bytes());
    }
    out.push(b']');
}
