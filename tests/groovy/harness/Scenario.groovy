package harness

/** What scenario files are: `scenario('a sentence') { world -> … }`. */
abstract class Scenario extends Script {
    static void same(Object actual, Object expected) {
        if (actual != expected) { throw new AssertionError("expected: ${expected}\nactual:   ${actual}" as Object) }
    }

    static void has(Object text, String part) {
        if (text == null || !text.toString().contains(part)) { throw new AssertionError("no '${part}' in:\n${text}" as Object) }
    }

    static void lacks(Object text, String part) {
        if (text != null && text.toString().contains(part)) { throw new AssertionError("'${part}' in:\n${text}" as Object) }
    }
}
