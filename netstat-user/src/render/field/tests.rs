use super::*;

#[test]
fn names_are_unique_and_what_is_always_there_may_be_there() {
    for (at, spec) in all().enumerate() {
        assert_eq!(all().position(|other| other.name == spec.name), Some(at), "{}", spec.name);
        assert_eq!(spec.always & !spec.within, 0, "{}", spec.name);
        assert!(spec.meaning.ends_with('.'), "{}", spec.name);
    }
}
