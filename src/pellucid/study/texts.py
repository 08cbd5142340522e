"""Every sentence a participant reads, so that a study can be put into another language or tone by a YAML file."""

from pydantic import BaseModel, ConfigDict


class Texts(BaseModel):
    """The words of the interface; parts in braces are filled in and must stay."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    consent_heading: str = "Before you start"
    consent_agree: str = "I have read this, I am at least 18 years old, and I agree to take part."
    consent_start: str = "Take part"
    consent_missing: str = "Tick the box if you agree to take part. Without it, simply close this page."
    personal_link: str = "This link is yours alone. Keep it: it brings you back to where you were."

    demographics_heading: str = "About you"
    demographics_intro: str = "A few questions that help to describe, as a group, who took part."
    choose_one: str = "Please choose"
    optional: str = "(optional)"
    go_on: str = "Go on"
    field_missing: str = "Please answer this question."

    instructions_heading: str = "What you will do"
    reading: str = "Bright places mattered much for the program’s answer, dark places mattered little."
    reading_signed: str = (
        "Red places spoke for the program’s answer, blue places against it, and pale places mattered little."
    )
    statements: str = "These are the statements, and the answers to choose from:"
    begin: str = "Start with the practice"

    training_heading: str = "Practice"
    rating_heading: str = "Explanation"
    attention_heading: str = "A short check"
    choice_heading: str = "Side by side"
    progress: str = "{done} of {total}"
    image_caption: str = "Image"
    map_caption: str = "Explanation"
    option_caption: str = "Explanation {number}"
    predicted: str = "The model says that this image shows: {label}."
    image_alternative: str = "The image that the model was given."
    map_alternative: str = "The model’s explanation, a map of the image."
    option_alternative: str = "Explanation number {number}, a map of the image."
    next: str = "Next"
    answer_missing: str = "Please answer every question before you go on."
    reason_missing: str = "Please say in a few words why."

    training_done_heading: str = "Practice is over"
    training_done: str = (
        "From now on your answers count. There is no time limit, and there are no right or wrong ratings."
    )
    choice_intro_heading: str = "Last part"
    choice_intro: str = (
        "You have rated all explanations one at a time. Now you will see several explanations of the same image beside "
        "each other and choose one of them."
    )

    refresher_heading: str = "Welcome back"
    refresher_intro: str = (
        "You were away for a while. Here is once more what the study is about; then you go on where you were."
    )
    refresher_start: str = "Go on where I was"

    saved: str = "All answers are saved."
    saving: str = "Saving…"
    waiting: str = (
        "No connection. {count} waiting on this device; they are sent as soon as the connection is back. You can go on."
    )
    refused: str = "The server did not take an answer. The page is loaded again."
    loading: str = "Loading the pictures…"
    needs_script: str = (
        "This study needs JavaScript, so that no answer is lost when the network is. Please switch it on."
    )

    done_heading: str = "Thank you"
    done: str = "All your answers are stored. You can close this page."
    completion_code: str = "Your completion code:"
    completion_link: str = "Finish and go back to where you came from"
    your_code: str = "Should you want your data deleted, write to the people who run the study and name this code:"

    closed_heading: str = "This study is closed"
    closed: str = "It takes no new participants. Thank you for your interest."
    full_heading: str = "This study is full"
    full: str = "Enough people have taken part already. Thank you for your interest."
    twice_heading: str = "You have been here before"
    twice: str = (
        "Somebody with your id has started already. Go on in the browser, or with the link, that you used then."
    )
    unknown_heading: str = "This link does not work"
    unknown: str = "Check that you have copied the whole link, or ask the people who run the study for a new one."
    forgotten_heading: str = "Your data are deleted"
    forgotten: str = "Everything you answered has been deleted from this study, as you asked."
    wrong_heading: str = "That did not work"
    wrong: str = "The server could not use what was sent. Go back, load the page again and try once more."
    expired: str = "This page has waited too long. Open the study by your link again; your answers are kept."
    busy_heading: str = "One moment"
    busy: str = "The server cannot answer just now. Nothing is lost; try again in a minute."
