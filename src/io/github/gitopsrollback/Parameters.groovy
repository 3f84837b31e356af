package io.github.gitopsrollback

/**
 * The named parameters of a step: which it takes, which it needs, and what they are to the command.
 *
 * They stand in one table, parameters.json, which is made from the command's own options. An empty text and null count as not
 * given, so that a job's parameters can be handed on as they are.
 */
class Parameters implements Serializable {

    private static final long serialVersionUID = 1

    private final Object script
    private final String step
    private Map read = null

    /**
     * @param script the step's script
     * @param step its name, for messages
     */
    Parameters(Object script, String step) {
        this.script = script
        this.step = step
    }

    /**
     * Checks the keys and returns what was given, as a copy without empty values.
     *
     * @param given the step's parameters
     * @return a map of keys to text, true, false, numbers, lists or maps
     */
    Map check(Map given) {
        Map about = table().steps[step]
        Map values = [:]
        for (entry in given) {
            String key = entry.key
            if (!about.takes.contains(key)) {
                script.error("${step}: unknown parameter '${key}' (it takes ${about.takes.join(', ')})")
            }
            Object value = plain(entry.value)
            if (value != null && value != '' && value != []) {
                values[key] = value
            }
        }
        either(values, 'service', 'services')
        either(values, 'image', 'images')
        name(values)
        boolean namesServices = "${values.all}" == 'true' || values.plan != null
        for (key in about.requires) {
            if (values[key] == null && !(key == 'service' && namesServices)) {
                script.error("${step}: ${key} parameter is required")
            }
        }
        return values
    }

    /**
     * Returns the environment variables by which the command reads its options.
     *
     * @param values what `check` returned
     * @return `GITOPS_X_Y` to text, for each key `xY` that is an option of the command
     */
    Map<String, String> options(Map values) {
        Map variables = table().variables
        Map<String, String> found = [:]
        for (entry in values) {
            if (variables[entry.key] && !(entry.value instanceof Map)) {
                found[variables[entry.key]] = text(entry.value)
            }
        }
        return found
    }

    /** The codes of refusals that whoever may start a ready-made rollback job may accept. */
    String allowedAccept() {
        return table().allowedAccept.join(',')
    }

    /** The service's names as the command reads them: a list becomes `cart,payment`. */
    String text(Object value) {
        return value instanceof List ? value.join(',') : "${value}"
    }

    private Map table() {
        if (read == null) {
            read = script.readJSON(text: script.libraryResource('io/github/gitopsrollback/parameters.json'), returnPojo: true)
        }
        return read
    }

    /** A map of images names its services; each value becomes the pair that the command reads. */
    private void name(Map values) {
        if (values.image instanceof Map) {
            List<String> services = []
            for (entry in values.image) {
                services << "${entry.key}".toString()
            }
            if ("${values.all}" != 'true') {
                values.service = values.service ?: services
            }
            values.image = pairs(values.image)
        }
        if (values.from instanceof Map) {
            values.from = pairs(values.from)
        }
    }

    /** Takes what is given under the second of two keys for the first. */
    private void either(Map values, String one, String several) {
        if (values[one] != null && values[several] != null) {
            script.error("${step}: give ${one} or ${several}, not both")
        }
        if (values[several] != null) {
            values[one] = values.remove(several)
        }
    }

    private List<String> pairs(Map images) {
        List<String> found = []
        for (entry in images) {
            found << "${entry.key}=${entry.value}".toString()
        }
        return found
    }

    private Object plain(Object value) {
        return value instanceof GString ? "${value}".toString() : value
    }

}
