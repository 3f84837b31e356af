package io.github.gitopsrollback

/**
 * The settings that a job, a folder or the controller has in the environment.
 *
 * What decides who may do what is never guessed: a value that is neither true nor false is an error, and so is one that a job's
 * parameter and the environment say differently, for in Jenkins a global variable wins over a job's one-value parameter.
 */
class Settings implements Serializable {

    private static final long serialVersionUID = 1

    private final Object script

    /** @param script the step's script */
    Settings(Object script) {
        this.script = script
    }

    /** The text of a variable; empty if it is not set. */
    String text(String variable) {
        Object found = script.env."${variable}"
        return found ? "${found}".trim() : ''
    }

    /**
     * Whether something holds.
     *
     * @param name what it is called, for the error
     * @param given what a step was given; null: nothing
     * @param variable what says it where nothing was given
     * @param otherwise what holds where nothing says it
     */
    boolean truth(String name, Object given, String variable, boolean otherwise = false) {
        String value = given == null ? text(variable) : "${given}".trim()
        String lower = value.toLowerCase()
        if (['true', 'yes', 'on', '1'].contains(lower)) {
            return true
        }
        if (['false', 'no', 'off', '0'].contains(lower)) {
            return false
        }
        if (value) {
            script.error("${name} is '${value}', which is neither true nor false (write true or false)")
        }
        return otherwise
    }

    /** A whole number of at least one. */
    int count(String name, Object given, String variable, int otherwise) {
        String value = given == null ? text(variable) : "${given}".trim()
        if (value && !(value ==~ '[1-9][0-9]{0,5}')) {
            script.error("${name} is '${value}', which is no whole number of at least 1 (write 8, for one)")
        }
        return value ? value.toInteger() : otherwise
    }

    /** Ends the build where a parameter of the job and the environment say different things. */
    void refuseContradictions() {
        for (entry in script.params) {
            String name = "${entry.key}"
            String parameter = "${entry.value}"
            Object found = script.env."${name}"
            if (name.startsWith('GITOPS_') && found != null && "${found}" != parameter) {
                script.error("${name} is '${parameter}' as a parameter of this job, and '${found}' as a variable of the agent, the folder or the" +
                    ' controller, which would win (take one of them away: the variable in Manage Jenkins → System → Global properties,' +
                    ' or the parameter in the job\'s configuration)')
            }
        }
    }

}
