import io.github.gitopsrollback.Approval
import io.github.gitopsrollback.StepRun

/** Asks a person whether what is planned is to be done; see gitopsApprove.txt. */
Map call(Map params = [:]) {
    return new Approval(new StepRun(this, 'gitopsApprove').check(params)).ask()
}
