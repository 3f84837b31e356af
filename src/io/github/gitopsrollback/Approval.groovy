package io.github.gitopsrollback

/**
 * Asks a person whether what is planned is to be done, without holding an executor.
 *
 * While it waits, the build's title says so and for whom. Who answers is written into the commit; a declined or expired one leaves
 * the build aborted, with nothing written.
 */
class Approval implements Serializable {

    private static final long serialVersionUID = 1

    private final StepRun run
    private final Settings settings

    /** @param run the step's run */
    Approval(StepRun run) {
        this.run = run
        this.settings = new Settings(run.script)
    }

    /** Returns who approved, as `{approver}`. */
    @SuppressWarnings('CatchException')
    Map ask() {
        Map shown = run.values.plan?.shown ?: [:]
        String approvers = run.values.approvers ?: settings.text('GITOPS_APPROVERS')
        int hours = settings.count('GITOPS_APPROVAL_HOURS', run.values.approvalHours, 'GITOPS_APPROVAL_HOURS', 8)
        boolean isSelfAllowed = settings.truth('GITOPS_SELF_APPROVAL', run.values.selfApproval, 'GITOPS_SELF_APPROVAL', true)
        String starter = new Who(run.script).name(run.values)
        String limit = isSelfAllowed ? '' : " It may not be ${starter}, who started this build."
        String message = "${shown.question ?: 'Go on?'} Started by ${starter}: ${run.values.reason}. " +
            "Who may approve: ${approvers ?: 'whoever may build this job'}.${limit} Nothing has been written yet;" +
            " to stop the build withdraws it, and the question ends after ${hours} h."
        Map waiting = [title: "waits for ${approvers ?: 'an approval'}: ${shown.change ?: ''}".toString(), about: shown.about, links: [:]]
        run.page.show(waiting)
        String approver = ''
        long started = System.currentTimeMillis()
        try {
            run.script.timeout(time: hours, unit: 'HOURS') {
                approver = answer(message, approvers, starter, isSelfAllowed)
            }
        } catch (Exception ended) {  // declined, expired, or the build was stopped
            String why = reason(ended) ?: System.currentTimeMillis() - started < hours * 3_600_000L ?
                'declined, or the build was stopped (the end of the log says by whom)' : "nobody answered within ${hours} h"
            run.page.show([title: "not approved: ${why}; nothing was written".toString(), about: shown.about])
            throw ended
        }
        return [approver: approver]
    }

    /** Which it was, and by whom; Jenkins tells that to a trusted library only, so it is empty in the sandbox. */
    private String reason(Exception ended) {
        if (ended.message) {
            return ended.message
        }
        try {
            return ended.causes*.shortDescription.join(', ')
        } catch (SecurityException | MissingPropertyException untold) {
            return ''
        }
    }

    private String answer(String message, String approvers, String starter, boolean isSelfAllowed) {
        String text = message
        String found = ''
        while (!found) {
            found = run.script.input(message: text, ok: 'Approve', submitter: approvers, submitterParameter: 'APPROVER') ?: ''
            if (!found) {
                run.script.error("${run.step}: it went on without anybody's approval, so nothing is written (start the job again)")
            }
            // as Jenkins does by default, users are not told apart by the case of their ids
            if (!isSelfAllowed && found.toLowerCase() == starter.toLowerCase()) {
                text = "${found} started this build and may not approve it: somebody else has to. ${message}"
                found = ''
            }
        }
        return found
    }

}
