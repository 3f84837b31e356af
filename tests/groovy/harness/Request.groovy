package harness

/** A step that the program waits for. */
class Request implements Serializable {
    private static final long serialVersionUID = 1
    String name
    List arguments

    /** The named arguments; a single unnamed one gets the name that the step gives it. */
    Map named(String single = null, List<String> known = []) {
        Map values = [:]
        List rest = arguments
        if (rest && rest[0] instanceof Map) {
            values.putAll(rest[0] as Map)
            rest = rest.drop(1)
        }
        if (rest) {
            if (single == null || rest.size() > 1) {
                throw new HarnessError("${name}: unexpected arguments ${rest*.getClass()*.simpleName}")
            }
            values[single] = rest[0]
        }
        List unknown = values.keySet().toList() - (known + (single ? [single] : []))
        if (unknown) {
            throw new HarnessError("${name}: unknown arguments ${unknown}")
        }
        return values.collectEntries { key, value -> [(key as String): Request.plain(value)] }
    }

    static Object plain(Object value) {
        switch (value) {
            case GString: return value.toString()
            case Map: return value.collectEntries { key, item -> [(plain(key)): plain(item)] }
            case List: return value.collect { plain(it) }
            default: return value
        }
    }
}
