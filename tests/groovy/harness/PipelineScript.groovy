package harness

import com.cloudbees.groovy.cps.SerializableScript

/** What every pipeline script is: a method it lacks is a step, a property it lacks a global variable. */
abstract class PipelineScript extends SerializableScript {

    @Override
    Object invokeMethod(String name, Object args) {
        Controller.current.invoke(name, args as Object[])
    }

    @Override
    Object getProperty(String name) {
        Controller.current.hasGlobal(name) ? Controller.current.global(name) : super.getProperty(name)
    }
}
