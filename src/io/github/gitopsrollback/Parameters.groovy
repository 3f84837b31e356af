package io.github.gitopsrollback

/**
 * The named parameters of a step: which it takes, which it needs, and what they are to the command.
 *
 * An empty text and null count as not given, so that a job's parameters can be handed on as they are.
 */
class Parameters implements Serializable {

    private static final long serialVersionUID = 1

    private final Object script
    private final String step

    /**
     * @param script the step's script
     * @param step its name, for messages
     */
    Parameters(Object script, String step) {
        this.script = script
        this.step = step
    }

    /** What every step takes that runs the command on a service. */
    List<String> common() {
        return ['service', 'services', 'all', 'environment', 'repository', 'branch', 'store', 'timeout', 'cache'] + agent()
    }

    /** What concerns the agent and the credentials, not the command's options. */
    List<String> agent() {
        return ['gitCredentialsId', 'jenkinsCredentialsId', 'dockerHubCredentialsId', 'registryCredentialsId', 'registryHost', 'useInstalled']
    }

    /** What the steps take that can open a pull request. */
    List<String> proposal() {
        return ['pullRequest', 'waitForMerge', 'forge', 'forgeUrl']
    }

    /** What the steps take that can wait until a change really runs. */
    List<String> waiting() {
        return ['wait', 'waitTimeout', 'kubeContext', 'kustomization', 'kubeconfigCredentialsId']
    }

    /**
     * Checks the keys and returns what was given, as a copy without empty values.
     *
     * @param given the step's parameters
     * @param known all keys that the step takes
     * @param required those it cannot do without
     * @return a map of keys to text, true, false, numbers, lists or maps
     */
    Map check(Map given, List<String> known, List<String> required) {
        Map values = [:]
        for (entry in given) {
            String key = entry.key
            if (!known.contains(key)) {
                script.error("${step}: unknown parameter '${key}' (it takes ${known.join(', ')})")
            }
            Object value = plain(entry.value)
            if (value != null && value != '' && value != []) {
                values[key] = value
            }
        }
        either(values, 'service', 'services')
        either(values, 'image', 'images')
        boolean namesServices = "${values.all}" == 'true' || values.plan != null
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
        for (key in required) {
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
        Map<String, String> found = [:]
        List<String> others = agent() + ['approvedBy', 'lock', 'report', 'wait', 'waitTimeout', 'autoRollback', 'kubeconfigCredentialsId']
        for (entry in values) {
            if (!others.contains(entry.key)) {
                found[variable("${entry.key}")] = text(entry.value)
            }
        }
        return found
    }

    /** The service's names as the command reads them: a list becomes `cart,payment`. */
    String text(Object value) {
        return value instanceof List ? value.join(',') : "${value}"
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

    private String variable(String key) {
        return 'GITOPS_' + key.replaceAll('([A-Z])', '_$1').toUpperCase()
    }

    private Object plain(Object value) {
        return value instanceof GString ? "${value}".toString() : value
    }

}
