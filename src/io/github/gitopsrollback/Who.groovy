package io.github.gitopsrollback

/** Who started the build: the person, also through the jobs that started this one, else what did. */
class Who implements Serializable {

    private static final long serialVersionUID = 1

    private final Object script

    /** @param script the step's script */
    Who(Object script) {
        this.script = script
    }

    /**
     * Returns the name that commits and state files show.
     *
     * @param values the step's parameters: `by` wins, `approvedBy` is added
     */
    String name(Map values) {
        String starter = values.by ?: person(script.currentBuild) ?: upstreamPerson() ?: reason()
        return values.approvedBy ? "${starter}, approved by ${values.approvedBy}" : starter
    }

    /** The user id of whoever started a build by hand or by REST; empty if nobody did. */
    String person(Object build) {
        for (cause in build.getBuildCauses('hudson.model.Cause$UserIdCause')) {
            for (found in [cause.userId, cause.userName]) {
                String text = "${found}"
                if (text && text != 'null') {
                    return text
                }
            }
        }
        return ''
    }

    private String upstreamPerson() {
        for (build in script.currentBuild.upstreamBuilds) {
            String found = person(build)
            if (found) {
                return found
            }
        }
        return ''
    }

    /** What began it all where no person did: `Started by timer` becomes `timer`, also of the job that started this one. */
    private String reason() {
        List builds = [script.currentBuild] + script.currentBuild.upstreamBuilds
        for (cause in builds.last().getBuildCauses()) {
            return "${cause.shortDescription}".replace('Started by ', '')
        }
        return ''
    }

}
