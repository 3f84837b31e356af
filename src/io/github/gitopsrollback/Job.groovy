package io.github.gitopsrollback

/**
 * How a ready-made job begins: is it of one version with the library, does it know its parameters, what do its settings say.
 *
 * One rule for all: a run whose job did not know its parameters yet does nothing. Jenkins learns them from a Jenkinsfile's first
 * run, if whoever set up the job did not write them into its configuration.
 */
class Job implements Serializable {

    private static final long serialVersionUID = 1

    private final StepRun run
    private final Settings settings

    /** @param run the step's run */
    Job(StepRun run) {
        this.run = run
        this.settings = new Settings(run.script)
    }

    /** Returns `{ready, service, environment, approval, keep, allowedAccept}`; a run that writes nothing is ready always. */
    Map begin() {
        refuseOtherVersion()
        settings.refuseContradictions()
        if (settings.truth('writes', run.values.writes, 'writes', true) && !knowsParameters()) {
            String why = 'the parameters were loaded, nothing else was done: build again with parameters'
            run.script.echo(why)
            run.script.currentBuild.description = why
            run.script.currentBuild.result = 'NOT_BUILT'
            return [ready: false]
        }
        boolean isApproved = settings.truth('GITOPS_APPROVAL', null, 'GITOPS_APPROVAL') || settings.text('GITOPS_APPROVERS') != ''
        return [
            ready: true, service: chosen('SERVICE', 'OTHER'), environment: chosen('ENVIRONMENT', 'OTHER_ENVIRONMENT'),
            approval: isApproved, keep: settings.text('GITOPS_JENKINS_CREDENTIALS_ID') != '',
            allowedAccept: settings.text('GITOPS_ALLOWED_ACCEPT') ?: new Parameters(run.script, run.step).allowedAccept(),
        ]
    }

    /** A Jenkinsfile and the library that it loads come from two places of Jenkins' configuration, and have to be of one version. */
    private void refuseOtherVersion() {
        String library = new Helper(run.script).version()
        if (library != "${run.values.version}") {
            run.script.error("this Jenkinsfile is of gitops-rollback ${run.values.version}, the library that Jenkins loaded of ${library}" +
                ' (give both one version: the job\'s branch specifier, and the library\'s default version or GITOPS_LIBRARY=gitops-rollback@VERSION)')
        }
    }

    /**
     * A run has a parameter in its environment only if the job knew it when the run was started.
     *
     * Most of them decide: a variable of controller or folder may have the name of one, and a newer Jenkinsfile one that is new.
     */
    private boolean knowsParameters() {
        int known = 0
        int unknown = 0
        for (entry in run.script.params) {
            if (!"${entry.key}".startsWith('GITOPS_')) {
                Object found = run.script.env."${entry.key}"
                known += found == null ? 0 : 1
                unknown += found == null ? 1 : 0
            }
        }
        return known > unknown
    }

    /** What was chosen from a list, or typed in the field beside it; whichever, one of them. */
    private String chosen(String list, String field) {
        String first = run.script.params."${list}" ?: ''
        String second = run.script.params."${field}" ?: ''
        if (first && second && first != second) {
            run.script.error("${list} is '${first}' and ${field} is '${second}': which is meant? (leave one of them empty)")
        }
        return first ?: second
    }

}
