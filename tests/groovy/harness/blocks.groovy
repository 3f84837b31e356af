// The block steps: what they change is entered before the body runs and left after it, however it ends.
import harness.Declared
import harness.FlowInterruptedException

Object withEnv(List overrides, Closure body) { inside('env', [overrides: overrides], body) }

Object withCredentials(List bindings, Closure body) { inside('secrets', [bindings: bindings], body) }

Object dir(String path, Closure body) { inside('dir', [path: path], body) }

Object node(String label, Closure body) { inside('node', [label: label], body) }

Object node(Closure body) { inside('node', [label: ''], body) }

Object stage(String name, Closure body) { inside('stage', [name: name], body) }

Object lock(String name, Closure body) { inside('lock', [resource: name], body) }

Object lock(Map options, Closure body) {
    known('lock', options, ['resource', 'skipIfLocked', 'inversePrecedence', 'quantity', 'label', 'variable'])
    inside('lock', options, body)
}

Object timeout(Map options, Closure body) {
    known('timeout', options, ['time', 'unit', 'activity'])
    inside('timeout', options, body)
}

Object timestamps(Closure body) {
    needsPlugin('timestamps', 'timestamper')
    return body()
}

Object script(Closure body) { body() }

Object retry(int count, Closure body) {
    int left = count
    while (true) {
        try {
            return body()
        } catch (FlowInterruptedException interrupted) {
            throw interrupted
        } catch (Exception failed) {
            left = left - 1
            if (left <= 0) {
                throw failed
            }
            echo "ERROR: ${failed.message}"
        }
    }
}

Object catchError(Map options, Closure body) {
    known('catchError', options, ['buildResult', 'stageResult', 'message', 'catchInterruptions'])
    Object result = null
    try {
        result = body()
    } catch (FlowInterruptedException interrupted) {
        if (options.catchInterruptions != false) {
            caught(options, interrupted)
        } else {
            throw interrupted
        }
    } catch (Exception failed) {
        caught(options, failed)
    }
    return result
}

void caught(Map options, Exception failed) {
    if (options.message) {
        echo options.message
    }
    echo "ERROR: ${failed.message}"
    String result = options.containsKey('buildResult') ? options.buildResult : 'FAILURE'
    if (result != null && result != 'SUCCESS') {
        currentBuild.result = result
    }
}

void known(String step, Map options, List names) { Declared.known(step, options, names) }

Object inside(String kind, Map frame, Closure body) {
    _enter(kind, frame)
    try {
        return body()
    } finally {
        _leave()
    }
}
