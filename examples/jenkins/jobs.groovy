// Job DSL: a deploy job for each service, and in a folder of their own the rollback job and the nightly drill.
// The same as `gitops-rollback jobs install`; everything that differs comes from the environment.
String library = System.getenv('LIBRARY_URL')
String version = System.getenv('LIBRARY_BRANCH') ?: 'main'
List<String> services = System.getenv('SERVICES').tokenize(', ')

Closure pipelineOf = { job, String script ->
    job.definition {
        cpsScm {
            scm {
                git {
                    remote { url(library) }
                    branch("*/${version}")
                }
            }
            scriptPath(script)
            lightweight(true)
        }
    }
}

folder('shop')

// Who is on call has to see the folder to reach the job in it; what is in it inherits that, so deploy jobs are elsewhere.
folder('ops') {
    properties {
        authorizationMatrix {
            entries {
                user {
                    name('oncall')
                    permissions(['Job/Read'])
                }
            }
            inheritanceStrategy { inheriting() }
        }
    }
}

services.each { service ->
    Object deploy = pipelineJob("shop/${service}") {
        description("Builds ${service}, archives what runs, deploys the new image.")
        parameters {
            // one choice each: who may start the job cannot change them
            choiceParam('GITOPS_SERVICE', [service])
            choiceParam('GITOPS_IMAGE_REPOSITORY', [System.getenv('IMAGE_REPOSITORY').replace('{service}', service)])
            choiceParam('GITOPS_SOURCE', [System.getenv('SOURCE_URL').replace('{service}', service)])
        }
    }
    pipelineOf(deploy, 'Jenkinsfile')
}

Object rollback = pipelineJob('ops/rollback') {
    description("Puts a service's previous image back and holds it there.")
    properties {
        authorizationMatrix {
            entries {
                user {
                    name('oncall')
                    permissions(['Job/Read', 'Job/Build', 'Job/Cancel'])
                }
            }
            inheritanceStrategy { inheriting() }
        }
    }
}
pipelineOf(rollback, 'Jenkinsfile.rollback')

Object drill = pipelineJob('ops/drill') {
    description('Asks every night whether a rollback would work.')
}
pipelineOf(drill, 'Jenkinsfile.drill')
