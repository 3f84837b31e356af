import io.github.gitopsrollback.ImageBuild
import io.github.gitopsrollback.StepRun

/** Builds a service's image from its Dockerfile and pushes it; see gitopsBuildImage.txt. */
Map call(Map params = [:]) {
    StepRun run = new StepRun(this, 'gitopsBuildImage').check(params)
    return run.inFolder {
        new ImageBuild(run).build()
    }
}
