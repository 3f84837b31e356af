package io.github.gitopsrollback

/** Binds the credentials that a step was given, or the job's environment names, under the names that the command reads. */
class Secrets implements Serializable {

    private static final long serialVersionUID = 1

    private final Object script

    /** @param script the step's script */
    Secrets(Object script) {
        this.script = script
    }

    /**
     * Runs a body with the credentials bound, and with nothing bound if there are none.
     *
     * @param values the step's parameters; what they lack is looked for in the environment
     * @param kinds which of `git`, `jenkins`, `dockerHub` and `registry` the body needs
     * @param body what needs them
     */
    Object bind(Map values, List<String> kinds, Closure body) {
        String git = pick(values.gitCredentialsId, script.env.GITOPS_GIT_CREDENTIALS_ID)
        String jenkins = pick(values.jenkinsCredentialsId, script.env.GITOPS_JENKINS_CREDENTIALS_ID)
        String hub = pick(values.dockerHubCredentialsId, script.env.GITOPS_DOCKERHUB_CREDENTIALS_ID)
        String registry = pick(values.registryCredentialsId, script.env.GITOPS_REGISTRY_CREDENTIALS_ID)
        String host = pick(values.registryHost, script.env.GITOPS_REGISTRY_HOST)
        if (registry && kinds.contains('registry') && !host) {
            script.error("the credentials ${registry} are for one registry, and nothing says for which" +
                ' (name its host: registryHost, or GITOPS_REGISTRY_HOST; a password is never sent to the host that an image names)')
        }
        List bindings = []
        if (git && kinds.contains('git')) {
            bindings << script.gitUsernamePassword(credentialsId: git, gitToolName: 'Default')
        }
        if (jenkins && kinds.contains('jenkins')) {
            bindings << pair(jenkins, 'JENKINS_USER', 'JENKINS_TOKEN')
        }
        if (hub && kinds.contains('dockerHub')) {
            bindings << pair(hub, 'DOCKERHUB_USERNAME', 'DOCKERHUB_TOKEN')
        }
        if (registry && kinds.contains('registry')) {
            bindings << pair(registry, 'REGISTRY_USERNAME', 'REGISTRY_PASSWORD')
        }
        String cluster = pick(values.kubeconfigCredentialsId, script.env.GITOPS_KUBECONFIG_CREDENTIALS_ID)
        if (cluster && kinds.contains('kubeconfig')) {
            bindings << script.file(credentialsId: cluster, variable: 'KUBECONFIG')
        }
        List<String> plain = host ? ["REGISTRY_HOST=${host}".toString()] : []
        return script.withEnv(plain) {
            bindings ? script.withCredentials(bindings) { body() } : body()
        }
    }

    private Object pair(String id, String user, String password) {
        return script.usernamePassword(credentialsId: id, usernameVariable: user, passwordVariable: password)
    }

    private String pick(Object given, Object configured) {
        Object found = given ?: configured
        return found ? "${found}" : ''
    }

}
